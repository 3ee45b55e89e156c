"""Passes make a bundle smaller within a budget; what is served otherwise than it was built or evaluated is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tunewright
from tunewright.core import catalog
from tunewright.core.bundle import open_bundle
from tunewright.core.errors import BundleError, DataError, MachineError, Refused, UsageError
from tunewright.core.files import read_json, write_json
from tunewright.core.gate import Gate
from tunewright.core.progress import Silent
from tunewright.models import members
from tunewright.models.layout import load_model
from tunewright.models.processor import Processor
from tunewright.serve.certificate import require
from tunewright.stages.compression import compress as stage
from tunewright.stages.compression import rewrite as rewrite_stage
from tunewright.stages.compression import speed
from tunewright.stages.compression.bench import Bench
from tunewright.testing import materials

TEXTS = ["i lost my card", "我要音乐", "is the weather cold today", "Quite other words: zebra 龘 7!", "来一首歌 now"]


def passes(*names, **settings):
    return [catalog.create("passes", {"name": name, **settings.get(name, {})}) for name in names]


@pytest.fixture(scope="module")
def run(tmp_path_factory, train_tiny) -> Path:
    """A run whose model has learned something, so that its answers can be lost."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "good", train__epochs=6, train__start="random")


@pytest.fixture(autouse=True)
def little_measuring(monkeypatch):
    monkeypatch.setattr(speed, "memory", lambda bundle, examples: 1.0)
    monkeypatch.setattr(speed, "ALONE", 12)


@pytest.fixture(scope="module")
def small(run, tmp_path_factory):
    """Three passes on it, with a budget that forbids nothing."""
    chain = passes("shrink_vocabulary", "prune_ffn", "distill", shrink_vocabulary={"keep": "used"})
    return stage.compress(open_bundle(run), chain, tmp_path_factory.mktemp("small") / "out", max_loss=1.0)


# ---------------------------------------------------------------------------------------------------- what comes out


def test_the_result_is_a_sealed_bundle_that_answers_and_its_recipe_loads(small, run):
    bundle = open_bundle(small.bundle)
    assert bundle.labels == open_bundle(run).labels
    assert bundle.recipe.task == open_bundle(run).recipe.task
    assert [said.decision for said in tunewright.load(small.bundle).predict(TEXTS)] == ["model"] * len(TEXTS)
    assert bundle.about["compressed"]["passes"] == ["shrink_vocabulary", "prune_ffn", "distill"]
    assert bundle.about["compressed"]["from"] == open_bundle(run).about["digest"]


def test_its_weights_are_really_fewer(small, run):
    before, after = (load_model(open_bundle(one).model_folder) for one in (run, small.bundle))
    assert after.backbone.config.vocab_size < before.backbone.config.vocab_size
    assert after.backbone.config.intermediate_size == 48 == before.backbone.config.intermediate_size * 3 // 4
    assert sum(one.numel() for one in after.parameters()) < sum(one.numel() for one in before.parameters())
    assert small.last.size_mb == pytest.approx(speed.size(small.bundle), rel=0.3)


def test_plain_transformers_opens_it_and_gives_the_same_answers(small):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = open_bundle(small.bundle).model_folder
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        logits = model(**tokenizer(TEXTS, return_tensors="pt", padding=True)).logits
    said = tunewright.load(small.bundle).predict(TEXTS)
    assert [model.config.id2label[int(best)] for best in logits.argmax(dim=1)] == [one.value for one in said]


def test_the_certificate_can_be_recomputed_and_holds_what_was_measured(small):
    stored = read_json(small.bundle / "certificate.json")
    assert Gate.from_dict(stored).recompute().passed
    assert (
        stored["speed"]["p50"] > 0 and stored["size_mb"] > 0 and set(stored["memory_mb"]) == {"original", "compressed"}
    )
    assert stored["rows"] == small.report["data"]["rows"] > 0
    assert set(stored["per_class"]) == {"card", "music", "weather"}
    assert all(part["low"] <= part["value"] <= part["high"] for part in stored["per_class"].values())
    assert stored["loss"]["low"] <= stored["loss"]["value"] <= stored["loss"]["high"]
    assert {"id", "gold", "before", "after"} == {key for flip in stored["flips"] for key in flip} or not stored["flips"]


def test_the_report_has_a_row_for_everything_that_was_tried(small):
    report = read_json(small.bundle / "report.json")
    assert [one["pass"] for one in report["tried"]] == ["shrink_vocabulary", "prune_ffn", "distill"]
    for one in (report["original"], *report["tried"]):
        assert one["speed"]["p50"] <= one["speed"]["p95"] and one["speed"]["in_bulk"] > 0 and one["size_mb"] > 0
    page = (small.bundle / "report.html").read_text("utf-8")
    assert all(name in page for name in ("shrink_vocabulary", "prune_ffn", "distill", "<svg"))


def test_the_card_says_whose_figures_it_has(small):
    card = (small.bundle / "README.md").read_text("utf-8")
    assert "## Compressed" in card and "before shrink_vocabulary, prune_ffn, distill" in card


def test_an_exact_pass_alone_changes_no_answer(run, tmp_path):
    made = stage.compress(open_bundle(run), passes("shrink_vocabulary"), tmp_path / "out", max_loss=0.0)
    assert (made.last.compared.flips, made.last.compared.max_abs) == ([], 0.0)
    names = [check.name for check in made.last.gate.checks]
    assert "flipped rows" in names and "largest logit difference" in names


@pytest.mark.parametrize("name", catalog.names("passes"))
def test_every_pass_makes_a_bundle_that_opens(name, run, tmp_path):
    made = stage.compress(open_bundle(run), passes(name), tmp_path / "out", max_loss=1.0)
    assert len(tunewright.load(made.bundle).predict(TEXTS)) == len(TEXTS)


def test_passes_are_found_for_answers_per_token_and_columns_beside_the_text(tmp_path, train_tiny):
    tokens = _token_run(tmp_path, train_tiny)
    made = stage.compress(open_bundle(tokens), passes("prune_layers", "distill"), tmp_path / "out", max_loss=1.0)
    assert len(tunewright.load(made.bundle).predict(["my card", "音乐"])) == 2
    beside = {"name": "text_classification", "categorical": ["language"]}
    columns = train_tiny(tmp_path / "columns", task=beside, train__epochs=1)
    made = stage.compress(open_bundle(columns), passes("prune_ffn", "distill"), tmp_path / "out2", max_loss=1.0)
    assert tunewright.load(made.bundle).predict([{"text": "my card", "language": "en"}])[0].decision == "model"


@pytest.mark.slow
def test_answers_in_texts_and_documents_are_kept_within_the_budget_too(tmp_path, train_tiny):
    questions = [
        {"question": f"who likes the {thing}?", "context": f"{name} likes the {thing} today", "answers": [{"text": name, "start": 0}]}
        for name in ("john", "mary", "wang")
        for thing in ("film", "book", "music", "song", "card", "bank", "rain", "sun")
    ]  # fmt: skip
    pairs = [{"query": f"lost {thing} {number}", "document": f"missing {thing}"} for thing in ("card", "phone", "book") for number in range(12)]  # fmt: skip
    for task, rows in (("question_answering", questions), ("matching", pairs)):
        source = materials.write_rows(tmp_path / f"{task}.jsonl", rows)
        trained = train_tiny(
            tmp_path / task, task=task, data={"train": str(source), "leakage": "keep"}, evaluate__baselines=[], evaluate__slices=[],
        )  # fmt: skip
        bundle = open_bundle(trained)
        made = stage.compress(bundle, passes("shrink_vocabulary"), tmp_path / f"{task}-small", max_loss=0.0)
        assert made.last.compared.flips == []
    with pytest.raises(UsageError, match=r"prune_ffn cannot serve matching.*can: bf16, int8, shrink_vocabulary"):
        stage.compress(bundle, passes("prune_ffn"), tmp_path / "out")


def _token_run(folder: Path, train_tiny) -> Path:
    lines = []
    for number in range(40):
        lines += ["my\tO", f"{'card' if number % 2 else 'song'}\tB-THING", "now\tO", f"{number % 7}\tO", ""]
    (folder / "tagged.conll").write_text("\n".join(lines), "utf-8")
    return train_tiny(
        folder / "tokens", task="token_classification", data={"train": str(folder / "tagged.conll"), "leakage": "keep"},
        evaluate__baselines=[], evaluate__slices=[],
    )  # fmt: skip


# -------------------------------------------------------------------------------------------------------- the budget


def _breaking(monkeypatch, name="prune_ffn"):
    """Let a pass turn the head round, so that nearly every answer is lost."""

    def apply(self, given, evidence):
        given.model.head.output.weight.data.mul_(-1)
        return given

    monkeypatch.setattr(catalog.find("passes", name), "apply", apply)


def test_a_pass_over_the_budget_is_undone_and_the_others_go_on(run, tmp_path, monkeypatch):
    _breaking(monkeypatch)
    chain = passes("shrink_vocabulary", "prune_ffn", "int8", shrink_vocabulary={"keep": "used"})
    made = stage.compress(open_bundle(run), chain, tmp_path / "out", max_loss=0.3)
    assert [(one.name, one.kept) for one in made.tried][:2] == [("shrink_vocabulary", True), ("prune_ffn", False)]
    assert made.to_dict()["verdict"] == "partly"
    assert "prune_ffn" not in open_bundle(made.bundle).about["compressed"]["passes"]
    said = [one.value for one in tunewright.load(made.bundle).predict(TEXTS[:3])]
    assert said == [one.value for one in tunewright.load(run).predict(TEXTS[:3])]


def test_where_no_pass_is_left_nothing_is_written_and_the_message_says_what_to_do(run, tmp_path, monkeypatch):
    _breaking(monkeypatch)
    with pytest.raises(Refused, match=r"budget of 0\.05.*upper end.*--max-loss"):
        stage.compress(open_bundle(run), passes("prune_ffn"), tmp_path / "out", max_loss=0.05)
    assert list(tmp_path.iterdir()) == []


def test_the_upper_end_of_the_interval_counts_and_not_the_loss_alone(run, tmp_path, monkeypatch):
    from tunewright.core.statistics import Interval
    from tunewright.stages.compression import certificate

    real = certificate.compare

    def unsure(*arguments):
        found = real(*arguments)
        return dataclasses.replace(found, loss=Interval(0.0, -0.02, 0.02, "accuracy"))

    monkeypatch.setattr(certificate, "compare", unsure)
    with pytest.raises(Refused, match=r"upper end is 0\.02, limit 0\.01"):
        stage.compress(open_bundle(run), passes("shrink_vocabulary"), tmp_path / "out", max_loss=0.01)


def test_distillation_brings_answers_back(run, tmp_path):
    chain = passes("prune_ffn", "distill", prune_ffn={"share": 0.7}, distill={"epochs": 10.0, "rate": 0.3})
    made = stage.compress(open_bundle(run), chain, tmp_path / "out", max_loss=1.0)
    before, after = (one.compared for one in made.tried)
    assert after.max_abs < before.max_abs


def test_what_costs_too_much_steps_back_to_something_milder(run, tmp_path, monkeypatch):
    """Of a chain, the milder forms follow until one is kept; what the machine lacks is left out."""
    shares = {0.9: 0.6, 0.6: 0.1}
    prune = type(passes("prune_ffn")[0])
    monkeypatch.setattr(
        prune,
        "milder",
        lambda self: dataclasses.replace(self, share=shares[self.share]) if self.share in shares else None,
    )
    tried = Bench.tried

    def lacking(self, state, chosen, name=""):
        if any(getattr(one, "share", None) == 0.6 for one in chosen):
            raise MachineError("not on this machine")
        found = tried(self, state, chosen, name)
        if any(getattr(one, "share", None) == 0.9 for one in chosen):
            found = dataclasses.replace(found, path=(*found.path[:-1], dataclasses.replace(found.path[-1], kept=False)))
        return found

    monkeypatch.setattr(Bench, "tried", lacking)
    step = tuple(passes("prune_ffn", "distill", prune_ffn={"share": 0.9}, distill={"epochs": 0.1}))
    made = stage.compress(open_bundle(run), [step], tmp_path / "out", max_loss=1.0)
    assert [(one.settings["prune_ffn"]["share"], one.kept) for one in made.tried] == [(0.9, False), (0.1, True)]
    assert [one.shown for one in made.tried] == [
        "prune_ffn+distill (share=0.9, epochs=0.1)",
        "prune_ffn+distill (share=0.1, epochs=0.1)",
    ]
    assert "share=0.9" in (made.bundle / "report.html").read_text("utf-8")
    assert made.to_dict()["verdict"] == "partly"


def test_integers_step_back_to_static_scales_then_to_more_full_precision_then_to_bf16():
    [one] = passes("int8")
    found = []
    while one is not None:
        found.append((catalog.name_of(one), getattr(one, "static", None), getattr(one, "full", None)))
        one = one.milder()
    assert found == [
        ("int8", False, 0.0),
        ("int8", True, 0.0),
        ("int8", True, 0.1),
        ("int8", True, 0.25),
        ("int8", True, 0.5),
        ("bf16", None, None),
    ]
    assert passes("int8", int8={"step_back": False})[0].milder() is None
    assert passes("int8", int8={"full": 0.3})[0].milder().full == 0.5


def test_static_scales_are_measured_on_training_rows_and_served(run, tmp_path):
    pytest.importorskip("onnxruntime")
    chain = passes("int8", int8={"static": True, "full": 0.2, "step_back": False})
    made = stage.compress(open_bundle(run), chain, tmp_path / "out", max_loss=1.0)
    chosen = read_json(made.bundle / "runtime.json")["chosen"]
    assert chosen == {"name": "onnx", "precision": "int8", "static": True, "full": 0.2}
    assert [path.name for path in (made.bundle / "onnx").iterdir()] == ["model.int8-static-0.2.onnx"]
    beside = [one for one in read_json(made.bundle / "certificate.json")["checks"] if one["name"].startswith("alone")]
    assert beside and beside[0]["passed"] and beside[0]["limit"] == 1e-3
    opened = open_bundle(made.bundle)
    require(opened, opened.recipe.predict.runtime)
    assert tunewright.load(made.bundle).predict(TEXTS[:1])[0].value is not None


def test_passes_joined_are_judged_together(run, tmp_path):
    made = stage.compress(open_bundle(run), [tuple(passes("prune_ffn", "distill"))], tmp_path / "out", max_loss=1.0)
    assert [one.name for one in made.tried] == ["prune_ffn+distill"]
    assert set(made.tried[0].settings) == {"prune_ffn", "distill"}


# ------------------------------------------------------------------------------------------------------- sabotage


def _spoil_model(monkeypatch, spoil):
    """Let `spoil(folder)` change the saved model of what a pass made, before it is sealed."""
    real = rewrite_stage.write_model

    def write(made, recipe, folder):
        real(made, recipe, folder)
        spoil(folder / "model")

    monkeypatch.setattr(rewrite_stage, "write_model", write)


def _random_head(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.startswith("classifier") and name.endswith("weight"))
    weights[name] = np.random.default_rng(0).normal(size=weights[name].shape).astype(np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _permuted_labels(folder: Path) -> None:
    config = read_json(folder / "config.json")
    names = list(config["id2label"].values())
    config["id2label"] = {str(index): name for index, name in enumerate([*names[1:], names[0]])}
    write_json(folder / "config.json", config)


def _other_case(folder: Path) -> None:
    tokenizer = read_json(folder / "tokenizer.json")
    tokenizer["normalizer"]["lowercase"] = False
    write_json(folder / "tokenizer.json", tokenizer)


def _lost_pooling(folder: Path) -> None:
    config = read_json(folder / "config.json")
    config["tunewright"]["pooling_layers"] = 0
    write_json(folder / "config.json", config)


def _other_length(folder: Path) -> None:
    write_json(folder / "processor.json", {**read_json(folder / "processor.json"), "max_tokens": 5})


SABOTAGE = {
    "a random head": (_random_head, "saved against built"),
    "permuted labels": (_permuted_labels, "labels named otherwise"),
    "another lower-casing": (_other_case, "ways of reading text changed"),
    "lost pooling": (_lost_pooling, "saved against built"),
    "another length of windows": (_other_length, "rows tokenized otherwise"),
}


@pytest.mark.parametrize("what", SABOTAGE)
def test_a_bundle_that_was_sabotaged_is_refused_whatever_the_budget(what, run, tmp_path, monkeypatch):
    spoil, check = SABOTAGE[what]
    _spoil_model(monkeypatch, spoil)
    with pytest.raises(Refused, match=check):
        stage.compress(open_bundle(run), passes("prune_ffn"), tmp_path / "out", max_loss=1.0)


def _other_vectors(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.weight"] = weights["embeddings.weight"][::-1].copy()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _lost_places(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith(":places"))
    weights[name] = np.roll(weights[name], 1)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _other_scales(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if name.endswith(":scales")]:
        weights[name] = weights[name] * np.float16(1.5)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _other_tokenizer(folder: Path) -> None:
    tokenizer = read_json(folder / "tokenizer.json")
    vocab = tokenizer["model"]["vocab"]
    names = list(vocab)
    vocab[names[-1]], vocab[names[-2]] = vocab[names[-2]], vocab[names[-1]]
    tokenizer["model"]["max_input_chars_per_word"] = 2
    write_json(folder / "tokenizer.json", tokenizer)


@pytest.mark.parametrize(
    ("name", "spoil", "check"),
    [
        ("distill_static", _other_vectors, "saved against built"),
        ("distill_static", _other_case, "ways of reading text changed"),
        ("distill_static", _permuted_labels, "labels named otherwise"),
        ("distill_into", _other_case, "ways of reading text changed"),
        ("distill_into", _other_tokenizer, "rows tokenized otherwise"),
        ("distill_into", _other_length, "rows tokenized otherwise"),
        ("distill_into", _random_head, "saved against built"),
        ("prune_weights", _lost_places, "saved against built"),
        ("int4_weights", _other_scales, "saved against built"),
    ],
)
def test_what_the_newer_passes_save_is_held_against_what_they_built(
    name, spoil, check, run, tiny_backbone, tmp_path, monkeypatch
):
    _spoil_model(monkeypatch, spoil)
    short = {"epochs": 1.0} if name.startswith("distill") else {}
    student = {"backbone": str(tiny_backbone)} if name == "distill_into" else {}
    with pytest.raises(Refused, match=check):
        stage.compress(open_bundle(run), passes(name, **{name: {**short, **student}}), tmp_path / "out", max_loss=1.0)


def test_weights_that_are_stored_in_another_form_make_the_file_smaller_and_answer_as_measured(run, tmp_path):
    sizes = {}
    for name in ("prune_weights", "int4_weights"):
        made = stage.compress(open_bundle(run), passes(name), tmp_path / name, max_loss=1.0)
        sizes[name] = (open_bundle(made.bundle).model_folder / "model.safetensors").stat().st_size
        assert not (made.bundle / "onnx").exists()
    whole = (open_bundle(run).model_folder / "model.safetensors").stat().st_size
    assert sizes["prune_weights"] < 0.75 * whole and sizes["int4_weights"] < 0.5 * whole


def test_distillation_behind_pruned_weights_leaves_zero_what_is_zero(run, tmp_path):
    from tunewright.models import lighter

    made = stage.compress(open_bundle(run), [tuple(passes("prune_weights", "distill"))], tmp_path / "out", max_loss=1.0)
    backbone = load_model(open_bundle(made.bundle).model_folder).backbone
    shares = [float((value == 0).float().mean()) for value in lighter.weights(backbone, words=True).values()]
    assert min(shares) >= 0.49


def test_by_gradient_other_weights_go_than_by_magnitude(run, tmp_path):
    zeros = []
    for by in ("magnitude", "gradient"):
        made = stage.compress(
            open_bundle(run), passes("prune_weights", prune_weights={"by": by}), tmp_path / by, max_loss=1.0
        )
        weights = load_model(open_bundle(made.bundle).model_folder).backbone.encoder.layer[0].output.dense.weight
        zeros.append((weights == 0).numpy())
    assert zeros[0].mean() == pytest.approx(zeros[1].mean()) and not np.array_equal(*zeros)


def test_nothing_may_change_what_was_rounded(run, tmp_path):
    with pytest.raises(UsageError, match=r"distill would change what int4_weights rounded\. Name it before that"):
        stage.compress(open_bundle(run), passes("int4_weights", "distill"), tmp_path / "out")


def test_labels_of_the_bundle_in_another_order_are_refused(run, tmp_path, monkeypatch):
    real = rewrite_stage.seal
    monkeypatch.setattr(
        rewrite_stage, "seal", lambda folder, **about: real(folder, **{**about, "labels": about["labels"][::-1]})
    )
    with pytest.raises(Refused, match="labels named otherwise"):
        stage.compress(open_bundle(run), passes("prune_ffn"), tmp_path / "out", max_loss=1.0)


def test_a_runtime_that_looks_at_padding_is_refused(run, tmp_path, monkeypatch):
    runtime = catalog.find("runtimes", "torch")
    real, opened = runtime.open, []

    def without_mask(self, bundle):
        answer = real(self, bundle)
        pad_id = Processor.load(bundle / "model").pad_id

        def run_(windows):
            longest = max((len(window["input_ids"]) for window in windows), default=0)
            return answer([_stretched(window, longest, pad_id) for window in windows])

        opened.append(bundle)
        return answer if len(opened) == 1 else run_  # the first is the original

    monkeypatch.setattr(runtime, "open", without_mask)
    with pytest.raises(Refused, match="alone against together"):
        stage.compress(open_bundle(run), passes("prune_ffn"), tmp_path / "out", max_loss=1.0)


def _stretched(window, longest, pad_id):
    more = longest - len(window["input_ids"])
    filling = {"input_ids": pad_id, "attention_mask": 1}
    return {
        name: np.concatenate([value, np.full(more, filling.get(name, 0), dtype=value.dtype)])
        for name, value in window.items()
        if value.ndim
    }


def test_an_answer_that_flips_is_refused_where_none_may(run, tmp_path, monkeypatch):
    def apply(self, given, evidence):
        given.model.head.output.bias.data[0] += 0.01
        return given

    monkeypatch.setattr(catalog.find("passes", "shrink_vocabulary"), "apply", apply)
    with pytest.raises(Refused, match=r"largest logit difference is 0\.01"):
        stage.compress(open_bundle(run), passes("shrink_vocabulary"), tmp_path / "out", max_loss=1.0)


@pytest.mark.parametrize(("flips", "own", "passed"), [(1, 0, True), (3, 0, False), (3, 2, True)])
def test_where_numbers_are_rounded_few_more_rows_than_of_the_original_may_depend_on_others(flips, own, passed):
    from tunewright.core.types import Example, Prediction
    from tunewright.predict.infer import Inferred
    from tunewright.stages.compression import certificate
    from tunewright.stages.evaluate import Judged

    logits, rows = np.zeros(2), [Example(f"a:{row}", {"text": "x"}) for row in range(50)]
    judged = Judged([Inferred(row, [], logits) for row in rows], [Prediction("yes", 1.0)] * 50)
    alone, before = (
        {row.id: (logits, "no" if index < count else "yes") for index, row in enumerate(rows)} for count in (flips, own)
    )
    served = certificate.Served(None, None, [], [], alone=alone, original_alone=before, steady=False)
    made = certificate._beside(served, judged, judged)
    assert (made.name, made.value, made.passed) == ("rows that alone get another answer", flips, passed)


# ------------------------------------------------------------------------------------------------- what can be asked


def test_a_bundle_outside_its_run_needs_rows_and_takes_them(run, intents_csv, tmp_path):
    alone = Path(shutil.copytree(run / "bundle", tmp_path / "alone"))
    with pytest.raises(DataError, match="lies in no run"):
        stage.compress(open_bundle(alone), passes("int8"), tmp_path / "out")
    made = stage.compress(
        open_bundle(alone), passes("prune_ffn"), tmp_path / "out", data=str(intents_csv.test), max_loss=1.0
    )
    assert (made.report["data"]["rows"], made.report["data"]["learned_from"]) == (18, 18)


def test_learned_rows_and_judged_rows_are_others(run):
    with stage.rows_of(open_bundle(run), None, None, None, Silent()) as rows:
        assert not {row.id for row in rows.train} & {row.id for row in rows.validation}


def test_several_models_that_vote_are_refused(tmp_path, train_tiny):
    voting = train_tiny(tmp_path / "run", train__ensemble={"size": 2, "kind": "vote"}, train__epochs=1)
    with pytest.raises(BundleError, match="several models that vote"):
        stage.compress(open_bundle(voting), passes("int8"), tmp_path / "out")


def test_several_models_that_vote_can_teach_one(tmp_path, train_tiny):
    voting = train_tiny(tmp_path / "run", train__ensemble={"size": 2, "kind": "vote"}, train__epochs=4)
    made = stage.compress(open_bundle(voting), passes("distill_static"), tmp_path / "out", max_loss=1.0)
    assert members.folders(made.bundle) == [made.bundle]
    assert tunewright.load(made.bundle).predict(TEXTS)[0].decision == "model"
    lessons = Bench(open_bundle(voting), _few(voting), tmp_path, 1.0, Silent()).lessons
    rows = list(lessons.validation)
    theirs = [item.logits for item in tunewright.load(voting).infer(rows)]
    np.testing.assert_allclose([said for said, _ in lessons._logits(lessons._teachers, rows)], theirs, atol=1e-4)


def _few(run):
    with stage.rows_of(open_bundle(run), None, None, None, Silent()) as rows:
        return dataclasses.replace(rows, validation=rows.validation[:6])


# --------------------------------------------------------------------------------------------------------- students


def test_a_static_student_learns_what_the_original_says_and_answers_without_torch(run, tmp_path):
    made = stage.compress(open_bundle(run), passes("distill_static"), tmp_path / "out", max_loss=1.0)
    assert made.last.compared.value > 0.8
    bundle = open_bundle(made.bundle)
    require(bundle, bundle.recipe.predict.runtime)  # `serve` takes it
    assert catalog.name_of(bundle.recipe.predict.runtime) in ("static", "torch")
    code = (
        "import sys, tunewright; model = tunewright.load(sys.argv[1], 'static'); "
        "print(model.predict(['i lost my card', '我的卡丢了'])[0].value, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(made.bundle)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["card", "False"]


def test_a_student_on_another_backbone_reads_as_that_one_does(run, tiny_backbone, tmp_path):
    other = Path(shutil.copytree(tiny_backbone, tmp_path / "other"))
    tokenizer = read_json(other / "tokenizer.json")
    tokenizer["normalizer"]["lowercase"] = False
    write_json(other / "tokenizer.json", tokenizer)
    chain = passes("distill_into", distill_into={"backbone": str(other), "epochs": 8.0, "rate": 0.5})
    made = stage.compress(open_bundle(run), chain, tmp_path / "out", max_loss=1.0)
    assert made.last.compared.value > 0.6
    bundle = open_bundle(made.bundle)
    assert bundle.recipe.model.backbone == str(other)
    assert read_json(bundle.model_folder / "tokenizer.json")["normalizer"]["lowercase"] is False


def test_a_causal_language_model_can_teach_an_encoder(tiny_backbone, train_tiny, tmp_path):
    import torch
    import transformers

    from tunewright.testing.tiny import vocabulary, write_tokenizer

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.LlamaConfig(
        **sizes, vocab_size=len(vocabulary()), max_position_embeddings=64, pad_token_id=0, num_key_value_heads=1
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.LlamaModel(config).save_pretrained(tmp_path / "causal")
    write_tokenizer(tmp_path / "causal")
    taught = train_tiny(tmp_path / "taught", model__backbone=str(tmp_path / "causal"), train__epochs=6)
    assert read_json(open_bundle(taught).model_folder / "config.json")["model_type"] == "llama"
    chain = passes("distill_into", distill_into={"backbone": str(tiny_backbone), "epochs": 6.0, "rate": 0.5})
    made = stage.compress(open_bundle(taught), chain, tmp_path / "out", max_loss=1.0)
    assert read_json(made.bundle / "model" / "config.json")["model_type"] == "bert"
    compared = made.last.compared
    assert len(compared.flips) < 0.5 * compared.rows


def test_rows_without_labels_are_learned_from_and_those_that_judge_are_not_among_them(run, tmp_path):
    with stage.rows_of(open_bundle(run), None, None, None, Silent()) as rows:
        texts = ["a new text", "another one", rows.validation[0].inputs["text"]]
    more = tmp_path / "more.txt"
    more.write_text("\n".join(texts), "utf-8")
    with stage.rows_of(open_bundle(run), None, str(more), None, Silent()) as rows:
        bare = [row.inputs["text"] for row in rows.train if row.label is None]
        assert bare == texts[:2] and rows.described["unlabelled"] == 2
    made = stage.compress(
        open_bundle(run), passes("distill_static"), tmp_path / "out", unlabelled=str(more), max_loss=1.0
    )
    assert made.report["data"]["unlabelled"] == 2


def test_students_of_answers_per_token_are_refused(tmp_path, train_tiny):
    tokens = open_bundle(_token_run(tmp_path, train_tiny))
    for name, told in (("distill_static", "more than the token alone"), ("distill_into", "other tokens")):
        with pytest.raises(UsageError, match=f"{name} cannot serve this model: it answers for every token, .*{told}"):
            stage.compress(tokens, passes(name), tmp_path / "out")


def test_what_a_method_has_inserted_is_left_to_runtimes(tmp_path, train_tiny):
    inserted = train_tiny(tmp_path / "run", train__method="prefix", train__epochs=1)
    with pytest.raises(BundleError, match=r"prune_ffn changes a network that is plain.*prefix stays inserted"):
        stage.compress(open_bundle(inserted), passes("prune_ffn"), tmp_path / "out")


def test_no_passes_and_a_place_that_is_taken_are_refused(run, tmp_path):
    with pytest.raises(UsageError, match=r"Name passes with --passes, or .*--target. Known: .*prune_layers"):
        stage.compress(open_bundle(run), [], tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        stage.compress(open_bundle(run), passes("int8"), tmp_path / "out")


def test_a_pass_that_cannot_serve_is_refused_before_the_ones_before_it_have_taken_their_time(
    run, tmp_path, monkeypatch
):
    passes = [catalog.create("passes", name) for name in ("shrink_vocabulary", "prune_heads")]
    monkeypatch.setattr(type(passes[1]), "lacks", lambda one, given: "its attention is odd")
    monkeypatch.setattr(type(passes[0]), "apply", None)
    with pytest.raises(UsageError, match="prune_heads cannot serve this model: its attention is odd"):
        stage.compress(open_bundle(run), passes, tmp_path / "out")


def test_a_students_backbone_that_is_none_is_told_before_the_passes_before_it_have_taken_their_time(
    run, tmp_path, monkeypatch
):
    chain = passes("shrink_vocabulary", "distill_into", distill_into={"backbone": "minilm-l6-e"})
    monkeypatch.setattr(type(chain[0]), "apply", None)
    with pytest.raises(UsageError, match=r"distill_into cannot serve this model: 'minilm-l6-e' is no .*minilm-l6-en"):
        stage.compress(open_bundle(run), chain, tmp_path / "out")


@pytest.mark.parametrize("setting", ["attention", "states"])
def test_what_is_compared_token_by_token_cannot_follow_another_backbone(
    run, tiny_backbone, tmp_path, setting, monkeypatch
):
    monkeypatch.setattr(type(passes("distill_into")[0]), "apply", None)  # it is told before that takes its time
    [one] = passes("distill", distill={setting: 1.0})
    given = rewrite_stage.opened(open_bundle(run).folder / "model")
    assert one.lacks(given) == ""
    chain = [
        tuple(passes("distill_into", "distill", distill_into={"backbone": str(tiny_backbone)}, distill={setting: 1.0}))
    ]
    with pytest.raises(UsageError, match=r"distill cannot serve this model: .* another backbone has other tokens"):
        stage.compress(open_bundle(run), chain, tmp_path / "out")


def test_rows_without_labels_are_learned_from(run, tmp_path, monkeypatch):
    real = stage.rows_of

    @contextmanager
    def unlabelled(*arguments):
        with real(*arguments) as rows:
            bare = [dataclasses.replace(row, label=None) for row in rows.train]
            yield dataclasses.replace(rows, train=bare)

    monkeypatch.setattr(stage, "rows_of", unlabelled)
    made = stage.compress(open_bundle(run), passes("prune_ffn", "distill"), tmp_path / "out", max_loss=1.0)
    assert [one.kept for one in made.tried] == [True, True]


def test_the_policy_is_fitted_anew_to_the_scores_that_are_served(tmp_path, train_tiny):
    careful = train_tiny(tmp_path / "run", decision__max_error=0.3, train__epochs=4)
    made = stage.compress(open_bundle(careful), passes("prune_ffn"), tmp_path / "out", max_loss=1.0)
    decision = json.loads((made.bundle / "decision.json").read_text())
    assert (
        decision["coverage"]["split"] == "validation" and decision["accept"] == open_bundle(made.bundle).policy.accept
    )
    assert members.folders(made.bundle) == [made.bundle]


def test_what_is_usual_is_told_of_the_smaller_models_own_tokens(run, tmp_path):
    """A smaller vocabulary numbers its tokens anew: the original's reference would call all of them unknown."""
    from tunewright.monitor.reference import of_bundle

    chain = passes("shrink_vocabulary", shrink_vocabulary={"keep": "used"})
    made = stage.compress(open_bundle(run), chain, tmp_path / "small", max_loss=1.0)
    before, after = (of_bundle(open_bundle(folder)).to_dict()["signals"] for folder in (run, made.bundle))
    tokens = [
        next(one for one in signals if one["name"] == "wording")["usual"]["counts"] for signals in (before, after)
    ]
    assert not np.array_equal(*tokens)


# --------------------------------------------------------------------------------------------------------- from Python


def test_python_compresses_and_exports_as_the_command_line_does(run, tmp_path):
    small = tunewright.compress(
        run, tmp_path / "small", passes="prune_layers+distill", settings={"prune_layers.share": 0.5}, max_loss=1.0
    )
    assert small.tried[0].settings["prune_layers"]["share"] == 0.5 and small.last.name == "prune_layers+distill"
    limit = f"size<{small.last.size_mb + 1}MiB"
    found = tunewright.compress(run, tmp_path / "found", target=limit, passes="prune_layers", max_loss=1.0)
    assert found.report["targets"][0]["name"] == "size"
    served = tunewright.export(run, tmp_path / "served", format="safetensors")
    assert served.last.compared.flips == [] and len(tunewright.load(served.bundle).predict(TEXTS)) == len(TEXTS)
    with pytest.raises(UsageError, match=r"There is no format 'onx'\. Did you mean 'onnx'"):
        tunewright.export(run, tmp_path / "other", format="onx")
    with pytest.raises(UsageError, match="exists already"):
        tunewright.compress(run, tmp_path / "small", passes="prune_layers")
