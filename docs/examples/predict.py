import tunewright

model = tunewright.load("runs/intents/bundle")
for answer in model.predict(["what's my balance", "book me a table for two", "can a polar bear live in alabama"]):
    print(f"{answer.value:20} {answer.score:.2f}")
