import csv

from sklearn.model_selection import cross_val_score

from tunewright.sklearn import TextClassifier

with open("recipes/data/clinc150_part/train.csv", encoding="utf-8") as file:
    rows = [row for row in csv.DictReader(file) if row["label"] in ("balance", "transfer", "recipe")]
texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]

model = TextClassifier(method="linear_probe")
print(cross_val_score(model, texts, labels, cv=3))
