"""Retrieval from a file to a bundle that is searched: learned, resumed to the same bits, opened by others."""

import json
import random

import numpy as np
import pytest

from tunewright.core import catalog, ranking
from tunewright.core.recipe_file import from_mapping
from tunewright.core.types import Example, Rejected
from tunewright.testing import materials

THINGS = ("card", "phone", "ticket", "room", "train", "book", "银行卡", "手机", "车票", "房间", "火车", "书")
WISHES = {"lost": "missing", "buy": "purchase", "丢了": "遗失", "想买": "购买"}


def rows():
    """Questions in other words than what answers them: a synonym has to be learned."""
    draw, found = random.Random(5), []
    for thing in THINGS:
        for word, other in WISHES.items():
            if thing.isascii() == word.isascii():
                for number in range(8):
                    noise = draw.choice(("please", "help", "now", "请", "帮忙", "现在"))
                    found.append(
                        {"query": f"{word} {thing} {noise} {number}", "document": f"{other} {thing}", "match": 1}
                    )
                    if number % 4 == 0:
                        wrong = draw.choice([w for w in WISHES.values() if w != other])
                        found.append({"query": found[-1]["query"], "document": f"{wrong} {thing}", "match": 0})
    draw.shuffle(found)
    return found


def recipe(source, backbone, **changes):
    return from_mapping(
        {
            "task": {"name": "matching", "match": True},
            "data": {"train": str(source)},
            "model": {"backbone": str(backbone)},
            "train": {"epochs": 4, "batch_size": 16, "learning_rate": 2e-3, "precision": "fp32", "threads": 1,
                      "device": "cpu", "checkpoint_steps": 2, **changes},
            "evaluate": {"resamples": 100},
            "predict": {"runtime": "torch"},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_backbone):
    from tunewright.engine.local import train

    folder = tmp_path_factory.mktemp("matching")
    source = materials.write_rows(folder / "rows.jsonl", rows())
    return folder, source, train(recipe(source, tiny_backbone), out=folder / "run")


def test_a_search_is_learned_and_beats_the_backbone_as_it_was(trained):
    _, _, outcome = trained
    assert set(outcome.baselines) == {"tfidf_cosine", "untuned"}
    assert outcome.metrics["mrr"] > outcome.baselines["untuned"]["mrr"] + 0.05


def test_the_bundle_holds_the_index_and_answers_with_the_ten_nearest(trained):
    from tunewright.predict.predictor import load

    _, _, outcome = trained
    predictor = load(outcome.bundle)
    [said] = predictor.predict(["lost card please 1"])
    assert said.value in predictor.labels and next(iter(said.scores)) == said.value and len(said.scores) == 10
    assert list(said.scores.values()) == sorted(said.scores.values(), reverse=True)


def test_the_index_is_the_documents_under_the_very_model_that_is_saved(trained):
    from tunewright.models.inference import pooled
    from tunewright.models.layout import load_model
    from tunewright.models.processor import Processor

    _, _, outcome = trained
    model, processor = load_model(outcome.bundle / "model"), Processor.load(outcome.bundle / "model")
    documents = tuple(json.loads((outcome.bundle / "bundle.json").read_text())["labels"])
    task = catalog.create("tasks", "matching")
    windows = task.encode(ranking.as_examples(documents, "document"), processor, ())
    weight, _ = ranking.index(pooled(model, [one.features for one in windows], pad_id=processor.pad_id))
    np.testing.assert_allclose(model.head.output.weight.detach().numpy(), weight, atol=1e-4)


def test_plain_transformers_gives_the_same_answers(trained):
    _, _, outcome = trained
    certificate = json.loads((outcome.bundle / "certificate.json").read_text())
    assert certificate["passed"] and len([one for one in certificate["checks"] if ": " not in one["name"]]) == 3


def test_sentence_transformers_opens_the_encoder_and_finds_the_same_cosines(trained):
    sentences = pytest.importorskip("sentence_transformers")
    from tunewright.predict.predictor import load

    _, _, outcome = trained
    encoder = sentences.SentenceTransformer(str(outcome.bundle / "encoder"), device="cpu")
    predictor = load(outcome.bundle)
    queries = ["lost card please 1", "想买手机请 3"]
    found = (
        encoder.encode(queries, prompt_name="query") @ encoder.encode(list(predictor.labels), prompt_name="document").T
    )
    expected = [item.logits / 20 for item in predictor.infer([Example(q, {"query": q}) for q in queries])]
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-4)


def test_the_encoder_shares_its_weights_with_the_model(trained):
    _, _, outcome = trained
    first, second = (outcome.bundle / name / "model.safetensors" for name in ("model", "encoder"))
    assert first.samefile(second)
    assert {"encoder/modules.json", "encoder/model.safetensors"} <= set(
        json.loads((outcome.bundle / "bundle.json").read_text())["files"]
    )
    assert "id2label" not in json.loads((outcome.bundle / "encoder" / "config.json").read_text())


def test_a_bundle_is_measured_on_new_rows_by_every_measure_with_its_interval(trained):
    from tunewright.predict.predictor import load
    from tunewright.stages.evaluate import evaluate, labelled

    _, source, outcome = trained
    predictor = load(outcome.bundle)
    with labelled(str(source), predictor.bundle.task, predictor.labels) as dataset:
        found, judged = evaluate(predictor, dataset)
    assert set(found.intervals) == {"mrr", "ndcg", "recall_at_1", "recall_at_5", "recall_at_10"}
    assert found.dropped == {"no_match": sum(row["match"] == 0 for row in rows())} and found.n == len(judged.items)


def test_documents_that_the_tokenizer_reads_alike_are_one_answer(tmp_path, tiny_backbone):
    from tunewright.engine.local import train

    alike = [{"query": f"where is {n}", "document": f"It is {n}"} for n in range(24)]
    alike += [{"query": f"what is {n}", "document": f"it IS  {n}"} for n in range(24)]
    source = materials.write_rows(tmp_path / "rows.jsonl", alike)
    made = from_mapping(
        {
            "task": "matching",
            "data": {"train": str(source)},
            "model": {"backbone": str(tiny_backbone)},
            "train": {"epochs": 1, "precision": "fp32", "threads": 1, "device": "cpu"},
            "evaluate": {"baselines": [], "resamples": 100},
            "predict": {"runtime": "torch"},
        }
    )
    outcome = train(made, out=tmp_path / "run")
    assert json.loads((outcome.bundle / "certificate.json").read_text())["passed"]


def test_reports_count_documents_and_list_none_as_labels(trained):
    _, _, outcome = trained
    report = json.loads((outcome.run / "report.json").read_text("utf-8"))
    documents = json.loads((outcome.bundle / "bundle.json").read_text())["labels"]
    assert report["data"]["documents"] == len(documents) and "labels" not in report["data"]
    assert not {"per_class", "confusion"} & report["results"]["tuned"].keys()
    assert report["data"]["ledger"]["tokens"]["documents"]["seen"] > 0
    assert f"从自带的 {len(documents)} 篇文档中" in (outcome.bundle / "README.md").read_text("utf-8")
    reference = json.loads((outcome.bundle / "reference.json").read_text("utf-8"))
    assert "given_labels" not in {signal["name"] for signal in reference["signals"]}


def test_an_interrupted_run_goes_on_to_the_same_bits(trained, tiny_backbone, monkeypatch):
    from tunewright.engine.local import train
    from tunewright.training import checkpoint
    from tunewright.training.loop import Interrupted

    folder, source, outcome = trained
    save, calls = checkpoint.save, []

    def dying(*arguments):
        save(*arguments)
        calls.append(arguments[1])
        if len(calls) == 3:
            raise KeyboardInterrupt

    again = recipe(source, tiny_backbone)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", dying)
        with pytest.raises(Interrupted):
            train(again, out=folder / "again")
    resumed = train(again, out=folder / "again", resume=True)
    for name in ("model/model.safetensors", "model/config.json"):
        assert (resumed.bundle / name).read_bytes() == (outcome.bundle / name).read_bytes(), name
    assert resumed.metrics == outcome.metrics


def test_hard_negatives_are_first_what_rows_reject_then_what_is_near_and_never_what_is_right(trained):
    from tunewright.data.dataset import Dataset

    folder, _, _ = trained
    dataset = Dataset.open(folder / "run" / "data")
    train, hard = dataset.splits["train"].examples(), np.load(folder / "run" / "hard.npy")
    assert hard.shape == (len(train), 1)
    rejected = {one.inputs["query"]: one.label.document for one in train if isinstance(one.label, Rejected)}
    seen = 0
    for example, [number] in zip(train, hard, strict=True):
        if isinstance(example.label, Rejected):
            assert number == -1
            continue
        assert dataset.labels[number] not in example.label
        if example.inputs["query"] in rejected:
            seen += 1
            assert dataset.labels[number] == rejected[example.inputs["query"]]
    assert seen


def test_search_over_settings_and_the_estimate_take_the_task(trained, tiny_backbone):
    from tunewright.stages.check import check

    _, source, _ = trained
    checked = check(recipe(source, tiny_backbone))
    assert checked.passed and checked.estimate.seconds > 0
