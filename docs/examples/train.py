import tunewright

outcome = tunewright.train(
    {
        "task": "text_classification",
        "data": {"train": "recipes/data/clinc150_part/train.csv", "limit": 400},  # 400 rows, to be quick
        "train": {"method": {"name": "lora", "rank": 8}, "epochs": 1},
    }
)
print(outcome.sentence)
print(outcome.metrics["accuracy"], outcome.bundle)
