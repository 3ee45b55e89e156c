from transformers import pipeline

classify = pipeline("text-classification", model="runs/intents/bundle/model")
print(classify("what's my balance"))
