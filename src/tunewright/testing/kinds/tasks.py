"""What a task promises: windows from any text, an answer from any outputs, measures that know right from wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Task
from tunewright.core.errors import LabelError
from tunewright.core.types import Example, Frame, Graph, Label, Policy, Prediction, Window, placed
from tunewright.testing import materials
from tunewright.testing.conformance import Subject

SURE = 20.0  # a logit that leaves no doubt
STEPS = 60  # by the gradient of an objective, after which it is as good as met


def it_names_what_exists(subject: Subject) -> None:
    """Its head, its objective and its metric are there; its inputs and target have names."""
    task = subject.create()
    assert task.inputs and all(role.isidentifier() for role in (*task.inputs, *task.targets))
    assert task.head in catalog.names("heads")
    assert task.objective in catalog.names("objectives")
    gold, predictions, labels = _perfect(subject)
    assert task.metric in task.measures.metrics(gold, predictions, labels)


def its_start_begins_it_and_says_why(subject: Subject) -> None:
    """What it begins with, unless a recipe names another start, suits it."""
    start = catalog.create("starts", subject.create().start)
    assert start.suits(subject.create()) and start.why is not None  # type: ignore[attr-defined]


def an_empty_label_is_unknown_and_a_senseless_one_refused(subject: Subject) -> None:
    """None and "" mean unknown; what can be no label raises LabelError with what is expected."""
    task = subject.create()
    inputs = {role: materials.rows(subject, task)[0][role] for role in task.inputs}
    for cells in (inputs, *({**inputs, **dict.fromkeys(task.targets, nothing)} for nothing in (None, ""))):
        assert task.read(cells)[1] is None
    try:
        task.read({**inputs, **{role: {"no": "label"} for role in task.targets}})
    except LabelError as error:
        assert len(str(error)) > 20, error
    else:
        raise AssertionError("a mapping was taken for a label")


def every_text_becomes_windows_in_order(subject: Subject) -> None:
    """English, Chinese, signs, one letter, long texts: each example has windows, features of one length, its label."""
    task, examples, labels = _examples(subject)
    windows = task.encode(examples, materials.processor(), labels)
    owners = [window.example for window in windows]
    assert owners == sorted(owners) and set(owners) == set(range(len(examples)))
    assert len(owners) > len(examples), "the long text has a single window, and overflow is split"
    for window in windows:
        assert isinstance(window, Window) and window.tokens >= 0
        assert len({len(value) for name, value in window.features.items() if name != "labels"}) == 1
        assert "labels" in window.features
        assert all(isinstance(value, (np.ndarray, np.generic)) for value in window.features.values())
    unlabelled = [dataclasses.replace(example, label=None) for example in examples]
    assert not any("labels" in window.features for window in task.encode(unlabelled, materials.processor(), labels))


def nothing_at_all_is_a_text_too(subject: Subject) -> None:
    """An empty text, as users send them, has a window and gets an answer."""
    task, _, labels = _examples(subject)
    nothing = Example("input#0", {role: "" for role in task.inputs})
    windows = task.encode([nothing], materials.processor(), labels)
    assert len(windows) == 1
    prediction = _decide(task, windows, labels)
    assert isinstance(prediction, Prediction)


def an_unknown_label_is_named_with_its_row(subject: Subject) -> None:
    """A label that is not among the labels raises LabelError with the row's id."""
    task, examples, labels = _examples(subject)
    if not task.classes:
        return
    strange = dataclasses.replace(examples[0], id="train.csv:77", label=_strange(examples[0].label))
    try:
        task.encode([strange], materials.processor(), labels)
    except LabelError as error:
        assert "train.csv:77" in str(error), error
    else:
        raise AssertionError("an unknown label was encoded")


def cut_tokens_are_counted(subject: Subject) -> None:
    """Under overflow: truncate, what was cut off is in the prediction."""
    task, examples, labels = _examples(subject)
    windows = task.encode(examples, materials.processor(overflow="truncate", max_tokens=12), labels)
    lost = [sum(w.truncated for w in windows if w.example == index) for index in range(len(examples))]
    assert max(lost) > 0
    longest = int(np.argmax(lost))
    own = [window for window in windows if window.example == longest]
    assert _decide(task, own, labels).truncated_tokens == lost[longest]


def outputs_become_a_prediction(subject: Subject) -> None:
    """A score between 0 and 1 and a value, the same each time; below what the policy accepts it abstains."""
    task, examples, labels = _examples(subject)
    windows = task.encode(examples, materials.processor(), labels)
    for index in range(len(examples)):
        own = [window for window in windows if window.example == index]
        first = _decide(task, own, labels)
        assert first == _decide(task, own, labels)
        assert 0 <= first.score <= 1 and np.isfinite(first.score)
        assert first.decision == "model"
        assert all(0 <= score <= 1 for score in first.scores.values())
        assert _decide(task, own, labels, Policy(accept=1.1)).decision == "abstain"


def each_claim_is_as_likely_as_the_answer_says(subject: Subject) -> None:
    """Where answers make claims, the chance of one is a score that stands in the answer; and some answer makes one."""
    task, examples, labels = _examples(subject)
    if task.claims is None:
        return
    windows, count = task.encode(examples, materials.processor(), labels), 0
    for index in range(len(examples)):
        own = [window for window in windows if window.example == index]
        logits = _logits(task, own, labels)
        said = task.decode(logits, own, labels, Policy())
        claims, known = task.claims.of(said), list(_scores(said))
        for claim, chance in zip(claims, task.claims.chances(claims, logits, own, labels), strict=True):
            near = min(abs(chance - score) for score in known)
            assert near < 1e-9, f"{claim} is {chance}; the answer has {known}"
            count += 1
    assert count, "no answer claims anything"


def right_answers_measure_best(subject: Subject) -> None:
    """Outputs that say the gold labels reach the best value of the deciding metric; wrong ones measure worse."""
    task = subject.create()
    gold, predictions, labels = _perfect(subject)
    best = task.measures.metrics(gold, predictions, labels)[task.metric]
    assert best == 1.0, f"{task.metric} of perfect answers is {best}"
    wrong = [predictions[(index + 1) % len(predictions)] for index in range(len(predictions))]
    assert task.measures.metrics(gold, wrong, labels)[task.metric] < best


def rows_of_unknown_label_are_left_out_of_measures(subject: Subject) -> None:
    """Predicting for unlabelled rows beside labelled ones changes no number."""
    task = subject.create()
    gold, predictions, labels = _perfect(subject)
    measured = task.measures.metrics(gold, predictions, labels)
    assert task.measures.metrics([*gold, None], [*predictions, predictions[0]], labels) == measured


def weighed_rows_measure_as_repeated_ones(subject: Subject) -> None:
    """Where a metric is a function of how often each row counts, it is that of `metrics` on rows taken so often."""
    task = subject.create()
    gold, predictions, labels = _perfect(subject)
    said = [predictions[(index + index % 2) % len(predictions)] for index in range(len(predictions))]
    measure = task.measures.weighed(task.metric, gold, said, labels)
    if measure is None:
        return
    weights = np.random.default_rng(0).integers(0, 4, size=(5, len(gold)))
    weights[:, 0] = 1
    expected = []
    for counts in weights:
        rows = np.repeat(np.arange(len(gold)), counts)
        measured = task.measures.metrics([gold[row] for row in rows], [said[row] for row in rows], labels)
        expected.append(measured[task.metric])
    np.testing.assert_allclose(measure(weights.astype(float)), expected)


def a_whole_run_trains_it(subject: Subject) -> None:
    """`train` brings it from a file to a bundle: the loss falls, and the bundle answers in both languages."""
    from tunewright.core.recipe_file import from_mapping
    from tunewright.engine.local import train
    from tunewright.predict.predictor import load

    task = subject.create()
    made = materials.rows(subject, task)
    numbered = [dict(row) for _ in range(6) for row in made]
    file = materials.write_rows(subject.folder / "rows.jsonl", numbered)
    recipe = from_mapping(
        {
            "task": catalog.describe(task),
            "data": {
                "train": str(file),
                "leakage": "keep",
                "max_tokens": 32,
                "columns": {role: role for role in (*task.inputs, *task.targets)},
            },
            "model": {"backbone": str(materials.backbone())},
            "train": {
                "epochs": 3,
                "batch_size": 8,
                "learning_rate": 2e-3,
                "start": "random",
                "precision": "fp32",
                "threads": 1,
                "device": "cpu",
            },
            "evaluate": {"baselines": [], "resamples": 100},
        }
    )
    outcome = train(recipe, out=subject.folder / "run")
    losses = _validation_losses(subject.folder / "run" / "metrics.jsonl")
    assert losses[-1] < losses[0], losses
    assert task.metric in outcome.metrics
    predictor = load(outcome.bundle)
    inputs = [{role: row[role] for role in task.inputs} for row in made]
    nothing = {role: "" for role in task.inputs}
    assert len(predictor.predict([*inputs, nothing])) == len(made) + 1


def _validation_losses(path: Any) -> list[float]:
    import json

    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "validation"]


def _examples(subject: Subject) -> tuple[Task, list[Example], tuple[str, ...]]:
    task = subject.create()
    made = materials.rows(subject, task)
    return task, materials.examples(task, made), materials.known_labels(task, made)


def _decide(task: Task, windows: Sequence[Window], labels: Sequence[str], policy: Policy | None = None) -> Prediction:
    """The prediction from a fresh network's outputs for one example's windows."""
    return task.decode(_logits(task, windows, labels), windows, labels, policy or Policy())


def _logits(task: Task, windows: Sequence[Window], labels: Sequence[str]) -> np.ndarray:
    """One example's joined logits from a fresh network."""
    from tunewright.models.inference import outputs

    network = materials.model(task.head, task.outputs(labels) or ("value",)).eval()
    found = outputs(network, [window.features for window in windows], pad_id=materials.processor().pad_id)
    return task.join(windows, found)


def _scores(said: Prediction) -> Iterator[float]:
    """Every score in an answer."""
    yield said.score
    yield from said.scores.values()
    for part in said.parts.values():
        yield from _scores(part)
    stretches = placed(said.value) + (said.value.triples if isinstance(said.value, Graph) else ())
    yield from (one.score for one in stretches if getattr(one, "score", None) is not None)


def _perfect(subject: Subject) -> tuple[list[Label], list[Prediction], tuple[str, ...]]:
    """Gold labels, and predictions decoded from outputs that say exactly them."""
    task, examples, labels = _examples(subject)
    windows = task.encode(examples, materials.processor(max_tokens=128), labels)
    saying, found = _saying(task, windows, len(task.outputs(labels))), []
    for index in range(len(examples)):
        own = [place for place, window in enumerate(windows) if window.example == index]
        logits = task.join([windows[place] for place in own], [saying[place] for place in own])
        found.append(task.decode(logits, [windows[place] for place in own], labels, Policy()))
    return [example.label for example in examples], found, labels


def _saying(task: Task, windows: Sequence[Window], outputs: int) -> list[np.ndarray]:
    """Outputs of a network that is sure of each window's labels: an index, an index a token (alone, or with the outputs it is
    among), or zeros and ones. For labels of other forms the outputs that the task's objective finds best."""
    targets = [window.features["labels"] for window in windows]
    if np.issubdtype(targets[0].dtype, np.integer):
        if targets[0].ndim == 2 and targets[0].shape[1] != 3:
            return _learned(task, windows, outputs)
        firsts = [target[:, 0] if target.ndim == 2 else target for target in targets]
        hot = [np.maximum(target, 0)[..., None] == np.arange(outputs) for target in firsts]
        return [np.where(one, SURE, -SURE).astype(np.float32) for one in hot]
    return [
        np.where(target > 0.5, SURE, -SURE).astype(np.float32) if target.ndim else np.atleast_1d(target)
        for target in targets
    ]


def _learned(task: Task, windows: Sequence[Window], outputs: int) -> list[np.ndarray]:
    """Outputs of every token that make the task's objective small, found by its own gradient."""
    import torch

    objective = catalog.create("objectives", task.objective)
    found = []
    for window in windows:
        labels = torch.from_numpy(window.features["labels"])[None]
        tokens = len(window.features["input_ids"])
        logits = torch.randn(1, tokens, outputs, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
        optimizer = torch.optim.Adam([logits], lr=0.3)
        for _ in range(STEPS):
            optimizer.zero_grad()
            objective.loss(logits, labels, None).sum().backward()
            optimizer.step()
        found.append(logits.detach()[0].numpy())
    return found


def _strange(label: Label) -> Label:
    """The label with a name in it that no row has."""
    if isinstance(label, tuple) and isinstance(label[0], str):
        return ("nowhere", *label[1:])
    if isinstance(label, tuple):
        return (dataclasses.replace(label[0], label="nowhere"), *label[1:])
    if isinstance(label, Frame):
        return dataclasses.replace(label, intent="nowhere")
    if isinstance(label, Graph):
        return dataclasses.replace(label, entities=_strange(label.entities), triples=())  # type: ignore[arg-type]
    if isinstance(label, Mapping):
        return {name: _strange(part) for name, part in label.items()}
    return "nowhere"
