"""What a run does, step by step: training, judging on the sealed test, saving a bundle, reporting."""
