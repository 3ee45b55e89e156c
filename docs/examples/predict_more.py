import tunewright

model = tunewright.load("runs/intents/bundle")
print(len(model.labels), "labels")

answer = model.predict(["move 50 dollars from checking to savings"])[0]
print(answer.value, answer.score, answer.decision)
for label, score in sorted(answer.scores.items(), key=lambda pair: -pair[1])[:3]:
    print(f"{score:.3f} {label}")
