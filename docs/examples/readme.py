import tunewright

outcome = tunewright.train("recipe.yaml")
print(outcome.sentence)
print(tunewright.load(outcome.bundle).predict(["I lost my card"])[0].value)
