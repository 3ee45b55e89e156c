"""Intents and slots, from rows as people have them to answers as other programs take them."""

from __future__ import annotations

import csv
import json

import pytest

SONGS = {"en": ("yesterday", "hey jude", "let it be"), "zh": ("一生最爱", "海阔天空", "小苹果")}
CITIES = {"en": ("rome", "new york", "paris"), "zh": ("北京", "上海", "广州")}


def _rows():
    """Requests in both languages; slots by place in English, by name and text in Chinese."""
    rows = []
    for number in range(120):
        song, city = SONGS["en"][number % 3], CITIES["en"][number % 3]
        for text, intent, name, value in (
            (f"please play {song} now {number}", "play", "song", song),
            (f"weather in {city} today {number}", "weather", "city", city),
        ):
            start = text.index(value)
            rows.append({"text": text, "intent": intent, "slots": [[start, start + len(value), name]]})
        song, city = SONGS["zh"][number % 3], CITIES["zh"][number % 3]
        rows.append({"text": f"播放{song}第{number}遍", "intent": "play", "slots": {"song": song}})
        rows.append({"text": f"{city}天气怎么样{number}", "intent": "weather", "slots": {"city": city}})
    return rows[:240]


@pytest.mark.slow
def test_requests_are_learned_from_a_file_and_answered_with_intent_and_slots(tmp_path, tiny_backbone):
    from transformers import AutoModelForTokenClassification

    from tunewright.core.recipe import replace
    from tunewright.core.types import Frame, Span
    from tunewright.engine.local import train
    from tunewright.predict.predictor import load
    from tunewright.predict.source import open_file
    from tunewright.predict.stream import Stream, write
    from tunewright.stages.evaluate import evaluate, labelled
    from tunewright.stages.init import look

    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _rows()), encoding="utf-8")
    settings = ("train.epochs=6", "train.batch_size=8", "train.learning_rate=2e-3", "train.precision=fp32")
    seen = look(str(source), changes=(f"model.backbone={tiny_backbone}", *settings, "evaluate.resamples=200"))
    assert seen.columns == {"text": "text", "intent": "intent", "slots": "slots"}
    assert set(seen.labels) == {"#play", "#weather", "city", "song"}
    recipe = replace(seen.recipe, **{"train.threads": 1, "data.leakage": "keep"})
    outcome = train(recipe, out=tmp_path / "run")
    assert outcome.metrics["accuracy"] > 0.8 and outcome.metrics["intent_accuracy"] > 0.9
    assert set(outcome.baselines) == {"by_parts"}

    predictor = load(outcome.bundle)
    english, chinese, nothing = predictor.predict(["please play hey jude now 7", "上海天气怎么样7", ""])
    assert english.value == Frame("play", (Span(12, 20, "song"),))
    assert chinese.value == Frame("weather", (Span(0, 2, "city"),))
    assert english.scores.keys() == {"play", "weather"} and (nothing.value, nothing.decision) == (None, "error")

    unlabelled = tmp_path / "new.csv"
    unlabelled.write_text("text,intent\nplease play hey jude now 7,mine\n,\n", encoding="utf-8")
    for name in ("answers.jsonl", "answers.csv"):
        write(Stream(predictor, open_file(unlabelled), {"text": "text"}), tmp_path / name)
    row, empty = (json.loads(line) for line in (tmp_path / "answers.jsonl").read_text("utf-8").splitlines())
    assert (row["intent"], row["input_intent"], empty["intent"]) == ("play", "mine", None)
    assert [(slot["start"], slot["end"], slot["label"]) for slot in row["slots"]] == [(12, 20, "song")]
    with open(tmp_path / "answers.csv", encoding="utf-8", newline="") as file:
        assert json.loads(next(csv.DictReader(file))["slots"]) == row["slots"]

    with labelled(source, predictor.bundle.task, predictor.labels) as dataset:
        found, _ = evaluate(predictor, dataset)
    assert found.n == 240 and found.intervals["accuracy"]["low"] > 0.8
    plain = AutoModelForTokenClassification.from_pretrained(outcome.bundle / "model")
    assert list(plain.config.id2label.values())[-2:] == ["#play", "#weather"]
