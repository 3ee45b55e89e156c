import tunewright

try:
    tunewright.train({"task": "text_classification", "data": {"train": "new.csv"}, "train": {"epoch": 3}})
except tunewright.RecipeError as error:
    print(error)  # unknown key 'epoch' under train. Did you mean 'epochs'? …
