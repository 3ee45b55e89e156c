"""How training starts: from a probe, prototypes, the labels' names, or few rows drawn together."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

import tunewright
from tunewright.components.starts.verbalizer import label_shares
from tunewright.core import catalog, linear
from tunewright.core.contracts import Beginning
from tunewright.core.errors import RecipeError
from tunewright.core.recipe_file import from_mapping
from tunewright.core.types import Example
from tunewright.models.cloze import Cloze
from tunewright.stages.check import check
from tunewright.testing.tiny import tiny_masked_lm
from tunewright.training.encoded import open_encoded
from tunewright.training.likeness import Likeness, likeness
from tunewright.training.loop import Interrupted


def report(run):
    return json.loads((run / "report.json").read_text())


# ------------------------------------------------------------------------------------------------------- likeness


def test_two_rows_are_alike_when_they_share_a_label():
    assert likeness(torch.tensor([0, 1, 0])).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]


def test_rows_of_several_labels_are_alike_by_the_share_that_both_have():
    found = likeness(torch.tensor([[1.0, 1, 0], [0, 1, 1], [0, 0, 0]]))
    assert found[0].tolist() == pytest.approx([1, 1 / 3, 0])
    assert found[2].tolist() == [0, 0, 0]


def test_the_loss_is_none_where_like_rows_lie_together_and_others_at_a_right_angle():
    features = torch.tensor([[2.0, 0], [0, 3], [1, 0]])
    assert Likeness().loss(features, torch.tensor([0, 1, 0]), None).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    wrong = Likeness().loss(features, torch.tensor([0, 0, 1]), None)
    assert wrong[0] == pytest.approx(1.0)  # half for the like one at a right angle, half for the other on its place


def test_many_unlike_rows_weigh_no_more_than_the_like_one():
    few = Likeness().loss(torch.eye(8)[[0, 1, 2]], torch.tensor([0, 0, 1]), None)
    many = Likeness().loss(torch.eye(8)[[0, 1, 2, 3, 4, 5]], torch.tensor([0, 0, 1, 2, 3, 4]), None)
    assert few[0] == many[0] == pytest.approx(0.5)


# ----------------------------------------------------------------------------------------------------- prototypes


def test_the_nearest_mean_wins_whatever_the_number_of_its_rows():
    features = np.array([[2.0, 0, 0, 0], [2, 0, 0, 0], [2, 0, 0, 0], [0, 2, 0, 0]])
    weight, bias = linear.nearest_mean(features, ["a", "a", "a", "b"], ("a", "b", "never"))
    logits = np.array([[1.3, 1.5, 0.2, 0.1]]) @ weight.T + bias
    assert np.argmax(logits) == 1 and np.argmin(logits) == 2
    assert np.linalg.norm(weight[0]) * 2 == pytest.approx(linear.SHARPNESS)


# ------------------------------------------------------------------------------------------------ names of labels


def named_rows(task="text_classification", labels=("credit_card", "7", "music"), **settings):
    """The texts and labels of the rows that few_shot adds, and the head it comes to."""
    task = catalog.create("tasks", task)
    several, added = task.multi_label, []
    rows = [
        Example(f"r:{n}", dict.fromkeys(task.inputs, f"text {n}"), (label,) if several else label)
        for n, label in enumerate(labels * 2)
    ]

    def features(examples):
        return np.stack([np.random.default_rng(len(one.inputs[task.inputs[0]])).normal(size=8) for one in examples])

    def gather(steps, more):
        added.extend(more)

    head = catalog.create("starts", {"name": "few_shot", **settings}).head(
        Beginning(task, rows, [], labels, features, gather, None)
    )
    return [(one.inputs[task.inputs[0]], one.label) for one in added], head


def test_what_a_label_is_called_is_one_row_more_of_it_unless_it_has_no_letter():
    assert named_rows()[0] == [("credit card", "credit_card"), ("music", "music")]
    assert named_rows(names=False)[0] == []


def test_a_description_stands_for_the_name_of_its_label_even_where_that_has_no_letter():
    lucky = [["7", "a lucky number"]]
    assert named_rows(descriptions=lucky)[0][1] == ("a lucky number", "7")
    assert named_rows(descriptions=lucky, names=False)[0] == [("a lucky number", "7")]


def test_names_have_the_form_of_labels_of_a_task_with_several():
    found, _ = named_rows({"name": "text_classification", "multi_label": True})
    assert found[0] == ("credit card", ("credit_card",))


def test_names_are_no_rows_of_a_task_that_reads_two_texts():
    assert named_rows("sentence_pair")[0] == []


def test_the_head_is_fitted_on_the_names_too():
    (weight, bias), (without, _) = named_rows()[1], named_rows(names=False)[1]
    assert weight.shape == (3, 8) and bias.shape == (3,) and not np.allclose(weight, without)


# ---------------------------------------------------------------------------------------------------- whole runs


def test_few_shot_draws_rows_of_one_label_together_and_its_head_is_all_that_is_fitted(tmp_path, train_tiny):
    run = train_tiny(tmp_path / "run", train__start={"name": "few_shot", "steps": 40}, train__epochs="auto")
    training = report(run)["training"]
    assert training["steps"] == 0 and len(training["history"]) == 1
    lines = [json.loads(line) for line in (run / "start" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "validation"]
    windows = [len(open_encoded(folder / "encoded")) for folder in (run, run / "start")]
    assert windows[1] == windows[0] + 3  # the names of the labels
    assert lines[-1]["step"] == 40 and losses[-1] < 0.5 * losses[0] and len(losses) == 2
    assert report(run)["verdict"]["verdict"] == "better"


def test_training_goes_on_after_few_shot_where_epochs_are_asked_for(tmp_path, train_tiny):
    run = train_tiny(tmp_path / "run", train__start={"name": "few_shot", "steps": 5}, train__epochs=1)
    assert report(run)["training"]["steps"] > 0


def test_frozen_layers_stay_as_they_were_in_few_shot(tmp_path, train_tiny, tiny_backbone):
    from safetensors.torch import load_file

    start = {"name": "few_shot", "steps": 5}
    run = train_tiny(
        tmp_path / "run", train__start=start, train__epochs=0, train__method={"name": "freeze", "layers": 1}
    )
    before, after = load_file(tiny_backbone / "model.safetensors"), load_file(run / "bundle/model/model.safetensors")
    weights = [
        [
            next(value for name, value in part.items() if name.endswith(f"encoder.layer.{layer}.output.dense.weight"))
            for layer in (0, 1)
        ]
        for part in (before, after)
    ]
    assert torch.equal(weights[0][0], weights[1][0]) and not torch.equal(weights[0][1], weights[1][1])


# ----------------------------------------------------------------------------------------------- likeness of pairs


def begun(alike, together, **settings):
    """What bi_encoder teaches where the cosines tell the label (or not), and both texts at once (or not).

    Rows of two texts; each text is its own angle, in degrees.
    """
    task = catalog.create("tasks", "sentence_pair")
    taught = []
    draw = np.random.default_rng(3)
    rows = []
    for n in range(60):
        same, first = n % 2, int(draw.integers(0, 360))
        apart = (10 if same else 80) if alike else int(draw.integers(10, 80))
        rows.append(
            Example(f"r:{n}", {"text_a": f"{first}", "text_b": f"{first + apart}"}, "same" if same else "other")
        )

    def features(examples):
        found = []
        for one in examples:
            angles = [np.deg2rad(float(text)) for text in one.inputs.values()]
            if len(angles) == 1:
                found.append([np.cos(angles[0]), np.sin(angles[0])])
            else:
                found.append([float(one.label == "same"), 1] if together and one.label else [len(found) * 7 % 5, 1])
        return np.array(found, dtype=np.float32)

    def teach(steps, examples, numbers):
        taught.append((steps, examples, numbers))

    start = catalog.create("starts", {"name": "bi_encoder", **settings})
    head = start.head(Beginning(task, rows[20:], rows[:20], ("other", "same"), features, None, teach))
    assert head[0].shape == (2, 2)
    return rows[20:], taught


def test_the_cosine_of_each_pair_is_taught_of_the_rows_and_of_other_pairs_of_their_texts():
    rows, [(steps, pairs, numbers)] = begun(alike=True, together=False, steps=30)
    assert steps == 30 and 0.5 * 30 * 32 < len(pairs) <= 1.2 * 30 * 32
    angles = np.deg2rad([[float(text) for text in pair.inputs.values()] for pair in pairs])
    assert numbers == pytest.approx(np.cos(angles[:, 0] - angles[:, 1]), abs=1e-5)
    known = {text for row in rows for text in row.inputs.values()}
    made = {tuple(pair.inputs.values()) for pair in pairs}
    assert len(made) == len(pairs) and {text for pair in made for text in pair} == known
    assert all(one != other and pair.label is None for pair in pairs for one, other in [pair.inputs.values()])
    assert all({tuple(row.inputs.values()), tuple(row.inputs.values())[::-1]} & made for row in rows)
    assert (numbers > 0.9).mean() > 1.5 * np.mean(np.cos(angles[:, :1] - angles[:, :1].T) > 0.9)  # near ones are many


def test_no_cosines_are_taught_where_they_tell_less_than_both_texts_at_once():
    assert begun(alike=False, together=True)[1] == []
    assert begun(alike=True, together=True)[1] == []


def test_a_model_learns_the_cosines_before_the_labels(tmp_path, train_tiny):
    words = [
        "a",
        "card",
        "song",
        "rain",
        "sun",
        "bus",
        "my",
        "is",
        "lost",
        "the",
        "play",
        "now",
        "today",
        "what",
        "how",
        "and",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9",
    ]
    draw = np.random.default_rng(0)
    rows = []
    for _ in range(300):
        first, second = draw.choice(words, 4, replace=False), draw.choice(words, 4, replace=False)
        shared = int(draw.integers(0, 5))
        second[:shared] = first[:shared]
        alike = len(set(first) & set(second))
        rows.append({"text_a": " ".join(first), "text_b": " ".join(second), "label": alike})
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = {"data__train": str(tmp_path / "rows.jsonl"), "data__test": None, "evaluate__slices": []}
    data |= {"task": {"name": "sentence_pair", "regression": True}, "evaluate__baselines": []}
    data |= {"train__start": {"name": "bi_encoder", "steps": 400}, "train__epochs": 1}
    run = train_tiny(tmp_path / "run", **data)
    lines = [json.loads(line) for line in (run / "start" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "train"]
    assert lines[-1]["step"] == 400 and np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    frozen = train_tiny(tmp_path / "frozen", train__method="linear_probe", **data)
    assert not (frozen / "start").exists()  # nothing below the head can learn them


@pytest.fixture(scope="module")
def echoing(tmp_path_factory):
    """A masked language model that expects the words which stand around a mask."""
    return tiny_masked_lm(tmp_path_factory.mktemp("lm"), echoes=True)


WORDS = [["card", "card"], ["card", "卡"], ["music", "music"], ["music", "乐"], ["music", "歌"], ["weather", "weather"],
         ["weather", "气"]]  # fmt: skip


@pytest.mark.parametrize("which", ["zero_shot", "verbalizer"])
def test_shuffled_training_labels_change_nothing_where_they_are_not_looked_at(
    tmp_path, train_tiny, intents_csv, echoing, which
):
    import csv
    import random

    with open(intents_csv.train, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    validation, train = rows[:30], rows[30:]
    files = {}
    for name, part in (("validation", validation), ("train", train), ("wrong", train)):
        labels = [row["label"] for row in part]
        if name == "wrong":
            random.Random(1).shuffle(labels)
        files[name] = tmp_path / f"{name}.csv"
        with open(files[name], "w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["text", "label", "language"])
            writer.writerows((row["text"], label, row["language"]) for row, label in zip(part, labels, strict=True))
    starts = {
        "zero_shot": {"template": "it is about {}", "descriptions": [["card", "a lost bank card"]]},
        "verbalizer": {"model": str(echoing), "words": WORDS},
    }
    start = {"name": which, **starts[which]}
    found = []
    for name in ("train", "wrong"):
        given = {"data__train": str(files[name]), "data__validation": str(files["validation"])}
        run = train_tiny(tmp_path / f"run-{name}", train__start=start, train__epochs="auto", **given)
        found.append(report(run)["results"]["tuned"])
        assert report(run)["training"]["steps"] == 0
    assert found[0] == found[1]


def test_a_head_learns_what_a_masked_lm_says_and_needs_it_no_more(tmp_path, train_tiny, echoing, command):
    own = shutil.copytree(echoing, tmp_path / "own")
    start = {"name": "verbalizer", "model": str(own), "words": WORDS}
    run = train_tiny(tmp_path / "run", train__start=start, train__epochs="auto")
    shutil.rmtree(own)
    assert report(run)["training"]["steps"] == 0
    assert report(run)["results"]["tuned"]["accuracy"] > 0.7  # six of 36 labels are wrong
    assert report(run)["results"]["baselines"]["majority"]["accuracy"] < 0.5
    (tmp_path / "rows.csv").write_text("text\nmy card is lost\n来一首歌\n", encoding="utf-8")
    code, said, _ = command("predict", run / "bundle", tmp_path / "rows.csv")
    assert code == 0 and [json.loads(line)["label"] for line in said.splitlines()] == ["card", "music"]


def test_a_word_that_is_likely_everywhere_says_nothing():
    said = np.array([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.8, 0.2]])
    assert label_shares(said, [0, 1], 2).argmax(axis=1).tolist() == [0, 1, 0, 1]
    assert label_shares(said, [0, 1], 2).sum(axis=1) == pytest.approx(1)


def test_the_words_of_a_label_are_averaged():
    said = np.array([[0.6, 0.2, 0.2], [0.2, 0.2, 0.6], [0.2, 0.6, 0.2]])  # each word is as likely on average
    found = label_shares(said, [0, 0, 1], 2)
    assert found == pytest.approx(np.array([[2 / 3, 1 / 3], [0.25, 0.75], [2 / 3, 1 / 3]]))


def test_a_template_that_leans_to_a_label_is_made_up_for(echoing):
    """With a label's own word in the template, that label is said too often; calibrated, it is the text's."""
    labels = ["card", "music", "weather"]
    texts = [f"a {word} {rest}" for word in labels for rest in ("now", "today")]
    said = Cloze(str(echoing), "music {mask}: {}", labels, "train.start").ask(texts, lambda count: None)
    assert said.argmax(axis=1).tolist() != [0, 0, 1, 1, 2, 2]
    assert label_shares(said, [0, 1, 2], 3).argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("beginning", [check, tunewright.train], ids=["check", "train"])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"words": [["weather", "sunny day"]]}, r"train.start.words: 'sunny day' is .* tokens .* a token: sun"),
        ({"words": [["wether", "sun"]]}, r"train.start.words: there is no label 'wether'. Did you mean 'weather'\?"),
        ({"words": [["weather", "card"]]}, r"train.start.words: 'card' and 'card' are the same token"),
        ({"template": "{} was"}, r"train.start.template is '{} was', and needs"),
        ({"model": ""}, r"train.start.model is needed: a folder, or a hub id"),
    ],
)
def test_what_a_verbalizer_cannot_ask_is_told_before_anything_is_encoded(
    tmp_path, monkeypatch, tiny_backbone, intents_csv, echoing, beginning, settings, said
):
    monkeypatch.setattr("tunewright.models.processor.Processor.encode", None)
    recipe = {
        "task": "text_classification",
        "data": {"train": str(intents_csv.train)},
        "model": {"backbone": str(tiny_backbone)},
        "train": {"start": {"name": "verbalizer", "model": str(echoing), **settings}},
    }
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=said):
        beginning(from_mapping(recipe))


def test_a_run_that_is_stopped_while_texts_are_asked_ends_in_the_same_weights(
    tmp_path, monkeypatch, train_tiny, echoing
):
    start = {"train__start": {"name": "verbalizer", "model": str(echoing), "words": WORDS}, "train__epochs": 1}
    whole = train_tiny(tmp_path / "whole", **start)
    logits, calls = Cloze._logits, []

    def stopping(cloze, batch):
        calls.append(len(batch))
        if len(calls) == 1:
            raise KeyboardInterrupt
        return logits(cloze, batch)

    monkeypatch.setattr(Cloze, "_logits", stopping)
    with pytest.raises(Interrupted):
        train_tiny(tmp_path / "broken", **start)
    broken = train_tiny(tmp_path / "broken", resume=True, **start)
    assert len(calls) > 1
    models = [run / "bundle/model/model.safetensors" for run in (whole, broken)]
    assert models[0].read_bytes() == models[1].read_bytes()


@pytest.mark.parametrize(
    ("start", "task", "said"),
    [
        ("few_shot", "token_classification", "train.start: few_shot cannot begin token_classification"),
        (
            "zero_shot",
            {"name": "text_classification", "multi_label": True},
            "zero_shot cannot begin text_classification",
        ),
        ("zero_shott", "text_classification", "Did you mean 'zero_shot'?"),
        ({"name": "zero_shot", "template": "no place"}, "text_classification", "template"),
        ({"name": "few_shot", "steps": 0}, "text_classification", "steps"),
        (
            {"name": "few_shot", "descriptions": [["x", "the same"]]},
            "sentence_pair",
            "few_shot cannot begin sentence_pair",
        ),
    ],
)
def test_a_start_that_does_not_suit_is_refused(tmp_path, train_tiny, start, task, said):
    rows = [{"text": f"we met Anna{n}", "label": ["x"] if isinstance(task, dict) else "x"} for n in range(30)]
    rows += [{"text": f"they met Bob{n}", "label": ["y"] if isinstance(task, dict) else "y"} for n in range(30)]
    if task == "token_classification":
        rows = [{"text": f"we met Anna{n}", "spans": [[7, 11, "NAME"]]} for n in range(30)]
    if task == "sentence_pair":
        rows = [{"text_a": row["text"], "text_b": row["text"], "label": row["label"]} for row in rows]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = {"data__train": str(tmp_path / "rows.jsonl"), "data__test": None, "evaluate__slices": []}
    with pytest.raises(RecipeError) as caught:
        train_tiny(tmp_path / "run", task=task, train__start=start, **data)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["zero_shot", "few_shot"])
@pytest.mark.parametrize(
    ("descriptions", "said"),
    [
        ([["carrd", "a card"]], r"there is no label 'carrd'. Did you mean 'card'\? Known: card, music, weather"),
        ([["card", "a card"], ["card", "a bank"]], "'card' is described 2 times"),
    ],
)
@pytest.mark.parametrize("beginning", [check, tunewright.train], ids=["check", "train"])
def test_a_description_that_fits_no_label_is_told_before_anything_is_encoded(
    tmp_path, monkeypatch, tiny_backbone, intents_csv, name, descriptions, said, beginning
):
    monkeypatch.setattr("tunewright.models.processor.Processor.encode", None)
    recipe = {
        "task": "text_classification",
        "data": {"train": str(intents_csv.train)},
        "model": {"backbone": str(tiny_backbone)},
        "train": {"start": {"name": name, "descriptions": descriptions}},
    }
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=f"train.start.descriptions: {said}"):
        beginning(from_mapping(recipe))


def test_few_shot_that_is_killed_goes_on_to_the_same_weights(tmp_path, tiny_backbone, intents_csv):
    recipe = {
        "task": "text_classification",
        "data": {"train": str(intents_csv.train), "test": str(intents_csv.test)},
        "model": {"backbone": str(tiny_backbone)},
        "train": {"start": {"name": "few_shot", "steps": 60}, "precision": "fp32", "threads": 1, "checkpoint_steps": 5},
        "evaluate": {"baselines": ["majority"], "resamples": 100},
        "predict": {"runtime": "torch"},
    }
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(recipe))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    tunewright.train(recipe, out=whole)
    command = [sys.executable, "-m", "tunewright.cli.main", "train", str(file), "--out", str(broken)]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ})
    checkpoints = broken / "start"
    while child.poll() is None and not any(checkpoints.glob("step-*[1-9]*")):
        pass
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL and not (broken / "bundle").exists()
    assert subprocess.run([*command, "--resume"], capture_output=True, check=False).returncode in (0, 2)
    models = [run / "bundle/model/model.safetensors" for run in (whole, broken)]
    assert models[0].read_bytes() == models[1].read_bytes()
