"""Entities and relations, from rows as people have them to triples as other programs take them."""

from __future__ import annotations

import csv
import json

import pytest

PEOPLE, FIRMS = ("anna", "bob", "eve"), ("market", "bank", "hotel")


def _rows():
    """A person works for a firm, or not; in Chinese the firm may stand first. Places in English, numbers in Chinese."""
    rows = []
    for number in range(60):
        who, firm = PEOPLE[number % 3], FIRMS[number // 3 % 3]
        for verb, relation in (("works for", "works for"), ("hates", None)):
            text = f"{who} {verb} {firm} {number}"
            start = text.index(firm)
            entities = [[start, start + len(firm), "firm"], [0, len(who), "person"]]
            told = [{"head": [0, len(who)], "tail": [start, start + len(firm)], "relation": relation}]
            rows.append({"text": text, "entities": entities, "relations": told if relation else []})
        person, place = "王明"[number % 2], ("银行", "市场")[number % 2]
        for text, order in ((f"{person}在{place}工作{number}", (0, 1)), (f"{place}里有{person}吗{number}", (1, 0))):
            found = [(text.index(person), len(person), "person"), (text.index(place), len(place), "firm")]
            entities = [{"start": s, "end": s + n, "label": name} for s, n, name in found]
            told = [{"head": 0, "tail": 1, "type": "works for"}] if order == (0, 1) else []
            rows.append({"text": text, "entities": entities, "relations": told})
    return rows


@pytest.mark.slow
def test_triples_are_learned_from_a_file_and_answered_as_triples(tmp_path, tiny_backbone):
    from transformers import AutoModelForTokenClassification

    from tunewright.core.recipe import replace
    from tunewright.engine.local import train
    from tunewright.predict.predictor import load
    from tunewright.predict.source import open_file
    from tunewright.predict.stream import Stream, write
    from tunewright.stages.evaluate import evaluate, labelled
    from tunewright.stages.init import look

    source = tmp_path / "rows.jsonl"
    broken = {"text": "bob works for bank", "entities": [[0, 3, "person"]], "relations": [{"head": 0, "tail": 1, "relation": "x"}]}  # fmt: skip
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in [*_rows(), broken]]
    source.write_text("".join(lines), encoding="utf-8")
    settings = ("train.epochs=8", "train.batch_size=8", "train.learning_rate=3e-3", "train.precision=fp32")
    seen = look(str(source), changes=(f"model.backbone={tiny_backbone}", *settings, "evaluate.resamples=200"))
    assert seen.columns == {"text": "text", "entities": "entities", "triples": "relations"}
    assert set(seen.labels) == {"->works for", "firm", "person"}
    recipe = replace(seen.recipe, **{"train.threads": 1, "data.leakage": "keep"})
    outcome = train(recipe, out=tmp_path / "run")
    assert outcome.metrics["triple_f1"] > 0.8 and outcome.metrics["entity_f1"] > 0.8
    assert set(outcome.baselines) == {"known_pairs"}
    entries = [json.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").read_text("utf-8").splitlines()]
    [lost] = [entry for entry in entries if entry.get("kind") == "bad_label"]
    assert (lost["file"], lost["line"]) == ("rows.jsonl", 241)
    assert lost["reason"] == "A relation's tail is entity number 1, and the row's entities are numbers 0 to 0."

    predictor = load(outcome.bundle)
    new = tmp_path / "new.csv"
    new.write_text("text\neve works for hotel 7\n王在市场工作9\n银行里有明吗8\n", encoding="utf-8")
    for name in ("answers.jsonl", "answers.csv"):
        write(Stream(predictor, open_file(new), {"text": "text"}), tmp_path / name)
    english, chinese, other = map(json.loads, (tmp_path / "answers.jsonl").read_text("utf-8").splitlines())
    assert [(one["text"], one["start"], one["end"], one["label"]) for one in english["entities"]] == [
        ("eve", 0, 3, "person"),
        ("hotel", 14, 19, "firm"),
    ]
    [triple] = english["triples"]
    assert (triple["head"]["text"], triple["relation"], triple["tail"]["text"]) == ("eve", "works for", "hotel")
    assert 0.5 < triple["score"] <= 1
    assert [(one["head"]["text"], one["tail"]["text"]) for one in chinese["triples"]] == [("王", "市场")]
    assert len(other["entities"]) == 2 and other["triples"] == []
    with open(tmp_path / "answers.csv", encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert json.loads(row["triples"]) == english["triples"] and json.loads(row["entities"]) == english["entities"]

    again = tmp_path / "again.jsonl"  # answers are labels
    again.write_text(json.dumps(english) + "\n" + json.dumps(chinese) + "\n", encoding="utf-8")
    columns = {"text": "text", "entities": "entities", "triples": "triples"}
    with labelled(again, predictor.bundle.task, predictor.labels, columns=columns) as dataset:
        found, _ = evaluate(predictor, dataset)
    assert (found.n, found.metrics["triple_f1"], found.metrics["accuracy"]) == (2, 1.0, 1.0)
    plain = AutoModelForTokenClassification.from_pretrained(outcome.bundle / "model")
    assert plain.config.id2label[0] == "O" and plain.config.id2label[5] == "-> works for 0"
