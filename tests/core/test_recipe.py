"""A recipe file: every mistake is told with its line and the nearest match, and what is written comes back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.core import catalog, recipe_file
from tunewright.core.errors import RecipeError, UsageError
from tunewright.core.recipe import Recipe, flat, replace, to_mapping

LEAST = "task: text_classification\ndata: {train: train.csv}\n"


@pytest.fixture
def load(tmp_path):
    """load(text, *changes) → the recipe in a file of that text, with --set changes."""

    def read(text: str | bytes, *changes: str) -> Recipe:
        path = tmp_path / "recipe.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return recipe_file.load(path, changes)

    return read


@pytest.fixture
def refused(load, tmp_path):
    """refused(text, *changes) → the message that refuses it, with the folder left out."""

    def message(text: str | bytes, *changes: str) -> str:
        with pytest.raises(RecipeError) as caught:
            load(text, *changes)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return message


# ------------------------------------------------------------------------------------------- what cannot be a recipe


def test_two_keys_are_a_recipe_and_everything_else_has_a_default(load, tmp_path):
    recipe = load(LEAST)
    assert recipe.data.train == str(tmp_path / "train.csv")
    assert recipe.train.epochs == "auto"
    assert recipe.evaluate.baselines == "auto"


def test_numbers_are_labels_too(load):
    assert load(LEAST.replace("train.csv}", "train.csv, labels: [0, 1]}")).data.labels == ("0", "1")


def test_a_missing_recipe_is_told_with_the_nearest_file(tmp_path):
    (tmp_path / "recipe.yaml").write_text(LEAST)
    with pytest.raises(
        RecipeError, match=r"no recipe .*recipes\.yaml\. Did you mean 'recipe\.yaml'\? .*tunewright init"
    ):
        recipe_file.load(tmp_path / "recipes.yaml")


def test_a_file_that_is_alike_by_its_ending_alone_is_not_proposed(tmp_path):
    (tmp_path / "snips.yaml").write_text(LEAST)
    with pytest.raises(RecipeError, match=r"There is no recipe .*nofile\.yaml\. `tunewright init"):
        recipe_file.load(tmp_path / "nofile.yaml")


@pytest.mark.parametrize("content", [b"text,label\nso: it is,a\n", b"just words\n", b"caf\xe9,a\n"])
def test_a_table_in_place_of_a_recipe_is_sent_to_init(tmp_path, content):
    (tmp_path / "tweets.csv").write_bytes(content)
    with pytest.raises(RecipeError, match=r"tweets\.csv looks like data, and .* tunewright init .*tweets\.csv$"):
        recipe_file.load(tmp_path / "tweets.csv")


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(RecipeError, match="is a folder, not a recipe"):
        recipe_file.load(tmp_path)


def test_data_given_in_place_of_a_recipe_are_told_from_one(load):
    with pytest.raises(RecipeError, match=r"larger than 1 MiB, so it is no recipe\. Did you mean `tunewright init"):
        load("text,label\n" * 100_000)


def test_a_recipe_without_the_right_to_read_it(load, monkeypatch):
    def refuse(*arguments, **settings):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(RecipeError, match=r"No permission to read .*recipe\.yaml: change its rights"):
        load(LEAST)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "recipe.yaml is empty. `tunewright init DATA --out recipe.yaml` writes a complete recipe."),
        ("# only a comment\n", "recipe.yaml is empty."),
        ("- a\n- b\n", "recipe.yaml:1: a recipe is keys and values, as `task: text_classification`."),
        ("just words", "recipe.yaml:1: a recipe is keys and values"),
        (b"task: caf\xe9\n", "recipe.yaml is no text in UTF-8 (byte 9). Save the recipe as UTF-8."),
        ("task: \0", "recipe.yaml: this is no YAML: unacceptable character"),
        (LEAST + "train: {epochs: 3\n", "recipe.yaml:4: this is no YAML: expected ',' or '}'"),
        (LEAST + "\ttrain: 3", "recipe.yaml:3: this is no YAML: found character '\\t'"),
        ("---\na: 1\n---\nb: 2\n", "recipe.yaml:3: this is no YAML: but found another document."),
        ("? [a, b]\n: c\n", "recipe.yaml:1: a key must be a plain word."),
        (LEAST + "seed: 1\nseed: 2\n", "recipe.yaml:4: 'seed' stands twice in this section; keep one."),
        ("task: x\ndata:\n  train: a\n  train: b\n", "recipe.yaml:4: 'train' stands twice"),
        (LEAST + "seed: !!python/name:os.system x\n", "recipe.yaml:3: 'x' has a tag a recipe cannot use"),
        ("a: " + "[" * 3000, "recipe.yaml is nested too deeply to be a recipe"),
        (LEAST + "x: " + "[" * 900 + "]" * 900, "recipe.yaml is nested too deeply to be a recipe"),
        ("a: &a {b: *a}\n", "recipe.yaml is nested too deeply to be a recipe (does an alias hold itself?)"),
    ],
)
def test_what_is_no_recipe_is_told_with_its_line(refused, text, said):
    assert refused(text).startswith(said)


def test_aliases_that_expand_without_end_are_stopped_early(refused):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{two}: &{two} [{', '.join([f'*{one}'] * 9)}]" for one, two in zip("abcd", "bcde", strict=True)]
    assert "expands to more than 20000 values (aliases?): write it out plainly" in refused("\n".join(lines))


def test_a_byte_order_mark_at_the_start_is_no_part_of_the_first_key(load):
    assert load(b"\xef\xbb\xbf" + LEAST.encode()).seed == 13


# --------------------------------------------------------------------------------------------- mistakes in its keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LEAST + "trian: {epochs: 3}", "recipe.yaml:3: unknown key 'trian'. Did you mean 'train'? Known: task, data,"),
        (
            LEAST + "train:\n  epochs: 2\n  epoch: 3",
            "recipe.yaml:5: unknown key 'epoch' under train. Did you mean 'epochs'?",
        ),
        (LEAST + "epochs: 3", "recipe.yaml:3: unknown key 'epochs'. It belongs under train: as train.epochs."),
        (LEAST + "quux: 3", "recipe.yaml:3: unknown key 'quux'. Known: task, data, tasks, version, model,"),
        ("data: {train: a.csv}\n", "recipe.yaml:1: task is missing: what is predicted, as text_classification or"),
        ("task: text_classification\ndata: {test: a.csv}\n", "recipe.yaml:2: data.train is missing: a CSV, TSV,"),
        ("task: text_classification\ndata: a.csv\n", "recipe.yaml:2: data takes keys and values: train, validation,"),
        (LEAST + "train: null", "recipe.yaml:3: train takes keys and values: method, objective,"),
        (
            "task: text_clasification\ndata: {train: a}",
            "recipe.yaml:1: task: There is no task named 'text_clasification'.",
        ),
        (
            "task: [a]\ndata: {train: a}",
            "recipe.yaml:1: task takes a name or {name: …}. Known: matching, question_answering, relation_extraction,",
        ),
        (
            "task: {multi_label: true}\ndata: {train: a}",
            "recipe.yaml:1: task needs a name. Known: matching, question_answering, relation_extraction,",
        ),
        (
            LEAST + "train:\n  method:\n    name: lora\n    rnak: 4\n",
            "recipe.yaml:6: unknown key 'rnak' under train.method. Did you mean 'rank'? Known: rank, alpha,",
        ),
        (LEAST + "train: {method: {rank: 4}}", "recipe.yaml:3: unknown key 'rank' under train.method. Known: none."),
        (LEAST + "train: {objective: hinge}", "recipe.yaml:3: train.objective: There is no objective named 'hinge'."),
        (
            LEAST + "evaluate:\n  baselines:\n    - majority\n    - tfdif\n",
            "recipe.yaml:6: evaluate.baselines.1: There is no baseline named 'tfdif'. Did you mean 'tfidf'?",
        ),
        (
            LEAST + "evaluate: {baselines: [tfidf, {name: tfidf, words: x}]}",
            "recipe.yaml:3: evaluate.baselines.1.words is 'x': Input should be a valid integer",
        ),
        (
            LEAST + "trackers: [5]",
            "recipe.yaml:3: trackers.0 takes a name or {name: …}. Known: mlflow, tensorboard, wandb.",
        ),
    ],
)
def test_a_wrong_key_is_told_with_its_line_and_the_nearest_one(refused, text, said):
    assert refused(text).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            LEAST + "seed: -1",
            'recipe.yaml:3: seed is -1: Input should be greater than or equal to 0. A recipe says of it: "of every',
        ),
        (LEAST + "seed: 1.5", "recipe.yaml:3: seed is 1.5: Input should be a valid integer"),
        (
            LEAST + "train:\n  epochs: -1",
            "recipe.yaml:4: train.epochs is -1: Input should be greater than or equal to 0; Input should be 'auto'. "
            'A recipe says of it: "at most;',
        ),
        (
            LEAST + "train: {epochs: .inf}",
            "recipe.yaml:3: train.epochs is inf: Input should be a finite number; Input should be 'auto'.",
        ),
        (
            LEAST + "train: {epochs: 1e400}",
            "recipe.yaml:3: train.epochs is inf: Input should be a finite number; Input should be 'auto'.",
        ),
        (
            LEAST + "train: {precision: bf61}",
            "recipe.yaml:3: train.precision is 'bf61': Input should be 'auto', 'fp32', 'bf16'",
        ),
        (LEAST + "data: {train: a, refuse: [leak]}", "recipe.yaml:3: 'data' stands twice"),
        (LEAST + "model: {dropout: 1}", "recipe.yaml:3: model.dropout is 1: Input should be less than 1."),
        (LEAST + "version: 2", "recipe.yaml:3: version is 2: Input should be 1."),
        (LEAST + "decision: {max_error: 0}", "recipe.yaml:3: decision.max_error is 0: Input should be greater than 0"),
    ],
)
def test_a_wrong_value_is_told_with_its_line_and_what_the_key_means(refused, text, said):
    message = refused(text)
    assert message.startswith(said), message


def test_a_word_that_is_none_of_the_choices_gets_the_nearest_one(refused):
    message = refused("task: text_classification\ndata: {train: a.csv, refuse: [conflicts, leakge]}")
    assert "data.refuse is ['conflicts', 'leakge']" in message and "Did you mean 'leakage'?" in message
    assert "Did you mean 'truncate'?" in refused("task: text_classification\ndata: {train: a.csv, overflow: trunkate}")


def test_a_long_value_is_shown_by_its_beginning(refused):
    assert len(refused(LEAST + f"seed: {'x' * 5000}")) < 400


# ------------------------------------------------------------------------------------------------------- YAML's words


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "No", "y", "2020-01-01", "1:30", "0x10", "0o17", "1_000"])
def test_words_that_older_yaml_turns_into_something_else_stay_words(load, word):
    assert load(f"task: text_classification\ndata: {{train: a.csv, labels: [{word}, other]}}").data.labels == (
        word,
        "other",
    )


@pytest.mark.parametrize(("text", "number"), [("1e-4", 1e-4), ("2E-5", 2e-5), (".5", 0.5), ("3", 3.0), ("1.", 1.0)])
def test_numbers_are_numbers_however_they_are_written(load, text, number):
    assert load(LEAST + f"train: {{learning_rate: {text}}}").train.learning_rate == number


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("TRUE", True)])
def test_truth_values_are_true_and_false(load, text, value):
    assert load(LEAST + f"model: {{remote_code: {text}}}").model.remote_code is value


@pytest.mark.parametrize("text", ["null", "~", ""])
def test_null_turns_off_what_can_be_absent(load, text):
    recipe = load(LEAST + f"train: {{early_stopping: {text}}}\ndecision: {{calibration: {text}}}")
    assert recipe.train.early_stopping is None and recipe.decision.calibration is None


# -------------------------------------------------------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("changes", "key", "value"),
    [
        (["train.epochs=3"], "train.epochs", 3.0),
        (["train.method=lora", "train.method.rank=4"], "train.method.rank", 4),
        (["train.method={name: lora, alpha: 2}"], "train.method.alpha", 2.0),
        (["task.multi_label=true"], "task.multi_label", True),
        (["data.columns.text=content"], "data.columns.text", "content"),
        (["data.labels=[no, yes]"], "data.labels", ["no", "yes"]),
        (["data.refuse=[leakage]"], "data.refuse", ["leakage"]),
        (["evaluate.baselines=[majority]"], "evaluate.baselines", [{"name": "majority"}]),
        (["evaluate.baselines=majority"], "evaluate.baselines", [{"name": "majority"}]),
        (["trackers="], "trackers", []),
        (["train.early_stopping=null"], "train.early_stopping", None),
        (["train.early_stopping.patience=7"], "train.early_stopping.patience", 7),
        (["seed=1", "seed=2"], "seed", 2),
        (["evaluate.metric=a=b"], "evaluate.metric", "a=b"),
    ],
)
def test_any_key_can_be_set_on_the_command_line(load, changes, key, value):
    assert dict(flat(to_mapping(load(LEAST, *changes))))[key] == value


@pytest.mark.parametrize("change", ["", "=", "seed", "=3", "   =3"])
def test_set_without_key_or_value_says_its_form(load, change):
    with pytest.raises(UsageError, match=r"--set takes key\.path=value, as --set train\.epochs=3; got"):
        load(LEAST, change)


def test_set_to_what_is_no_yaml_says_so(load):
    with pytest.raises(UsageError, match=r"--set train\.epochs=\[: the value is no YAML"):
        load(LEAST, "train.epochs=[")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.epoch=3", "--set train.epoch: unknown key 'epoch' under train. Did you mean 'epochs'?"),
        ("seed.x=1", "--set seed.x: seed is {'x': 1}: Input should be a valid integer"),
        ("train=5", "--set train: train takes keys and values"),
        ("train.epochs=-1", "--set train.epochs: train.epochs is -1: Input should be greater than or equal to 0"),
    ],
)
def test_a_mistake_in_set_is_told_as_one_of_set(refused, change, said):
    assert refused(LEAST, change).startswith(said)


def test_set_wins_over_the_file_and_leaves_the_rest_of_a_section(load):
    recipe = load(LEAST + "train: {epochs: 9, batch_size: 4}", "train.epochs=3")
    assert (recipe.train.epochs, recipe.train.batch_size) == (3, 4)


# ---------------------------------------------------------------------------------------------------------- round trip


def test_a_written_recipe_has_every_key_with_its_comment_and_comes_back(load, tmp_path):
    recipe = load(LEAST, "train.method={name: lora, rank: 4}", "trackers=[tensorboard]", "decision.max_error=0.05")
    text = recipe_file.to_yaml(recipe, head=["Written by a test."], reasons={"seed": "chosen by lot"})
    assert load(text) == recipe
    assert text.startswith("# Written by a test.\n")
    assert "seed: 13  # chosen by lot; of every random choice" in text
    lines = text.splitlines()[1:]
    silent = [line for line in lines if "#" not in line and not line.strip().startswith("name:")]
    assert silent == []
    for key, _ in flat(to_mapping(recipe)):
        last = [part for part in key.split(".") if not part.isdigit()][-1]
        assert f"{last}:" in text


def test_a_written_recipe_names_the_data_by_their_whole_path(load, tmp_path):
    (tmp_path / "folder").mkdir()
    recipe = load("task: text_classification\ndata: {train: folder, test: sub/test.csv}\nmodel: {backbone: ./folder}")
    assert recipe.data.train == str(tmp_path / "folder")
    assert recipe.data.test == str(tmp_path / "sub" / "test.csv")
    assert recipe.model.backbone == str(tmp_path / "folder")


def test_what_components_read_lies_where_the_recipe_does(tmp_path):
    """Each component's `sources`; a hub id that is no folder there stays, and what is not given too."""
    (tmp_path / "filler").mkdir()
    told = {
        "task": {"name": "matching", "corpus": "more.txt"},
        "data": {
            "train": "pairs.csv",
            "augment": [
                {"name": "masked_lm", "model": "filler"},
                {"name": "back_translation", "there": "a/marian"},
                "typo",
            ],
        },
        "train": {"start": {"name": "verbalizer", "model": "../models/filler"}},
    }
    recipe = recipe_file.from_mapping(told, tmp_path)
    filler, translation, _ = recipe.data.augment
    assert recipe.task.corpus == str(tmp_path / "more.txt")
    assert filler.model == str(tmp_path / "filler")
    assert (translation.there, translation.back) == ("a/marian", "")
    assert Path(recipe.train.start.model).resolve() == tmp_path.parent / "models/filler"


def test_an_id_on_the_hub_is_no_path(load):
    assert load("task: text_classification\ndata: {train: some/dataset}").data.train == "some/dataset"


AWKWARD = (
    "1e-4", "12e4", "089", "no", "y", "~", "null", "true", "0x10", "1:30", "2020-01-01", "=", "<<", "- a", "a: b", "#x",
    "{a}", "[a]", "*a", "&a", "!a", "%a", "@a", "`a", "'", '"', "\\", "\n", "\t", "\x85", "\u2028", "\x07", " a ",
    "退货", "😀", "é", "\ufeff", "?",
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(AWKWARD), st.text(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_any_label_and_column_name_comes_back_from_a_written_recipe(tmp_path_factory, names):
    columns = {"text": names[0], "label": names[-1]}
    data = {"train": "/train.csv", "labels": names, "columns": columns}
    recipe = recipe_file.from_mapping({"task": "text_classification", "data": data})
    path = tmp_path_factory.mktemp("written") / "recipe.yaml"
    path.write_text(
        recipe_file.to_yaml(recipe, head=names, reasons={"data.labels": names[0]}), encoding="utf-8", newline=""
    )
    assert recipe_file.load(path) == recipe


# --------------------------------------------------------------------------------------------- from Python


def test_a_recipe_from_plain_data_is_the_one_from_the_file(load, tmp_path):
    data = {
        "task": "text_classification",
        "data": {"train": "train.csv"},
        "train": {"method": {"name": "lora", "rank": 4}},
    }
    assert recipe_file.from_mapping(data, tmp_path) == load(LEAST, "train.method={name: lora, rank: 4}")


def test_a_recipe_takes_components_as_they_are(tmp_path):
    method = catalog.create("methods", {"name": "freeze", "layers": 1})
    data = {
        "task": catalog.create("tasks", "text_classification"),
        "data": {"train": "a.csv"},
        "train": {"method": method},
    }
    assert recipe_file.from_mapping(data).train.method is method


def test_a_mistake_in_plain_data_is_told_without_a_line():
    with pytest.raises(RecipeError, match=r"^recipe: unknown key 'epoch' under train\. Did you mean 'epochs'\?"):
        recipe_file.from_mapping({"task": "text_classification", "data": {"train": "a"}, "train": {"epoch": 3}})


def test_a_recipe_can_be_changed_by_dotted_paths(load):
    recipe = replace(load(LEAST), **{"train.epochs": 1.0, "seed": 7})
    assert (recipe.train.epochs, recipe.seed) == (1.0, 7)
    assert recipe_file.changed(recipe, ["train.epochs=2"]).train.epochs == 2
    with pytest.raises(RecipeError, match=r"--set train\.epochs: train\.epochs is -1"):
        recipe_file.changed(recipe, ["train.epochs=-1"])


def test_a_recipe_cannot_be_changed_in_place(load):
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(LEAST).seed = 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "train: {epochs: true}",
            'recipe.yaml:3: train.epochs is true: no yes or no fits here. A recipe says of it: "at most;',
        ),
        ("train: {threads: 5000}", "train.threads is 5000: Input should be less than or equal to 1024"),
        ("train: {optimizer: {epsilon: .inf}}", "train.optimizer.epsilon is inf: Input should be a finite number"),
        (f"seed: {'9' * 5000}", "recipe.yaml:3: '99999"),
        (f"{'k' * 500}: 1", "kkk…. Known: task, data"),
    ],
)
def test_absurd_values_are_refused_in_a_short_message(load, line, said):
    with pytest.raises(RecipeError) as caught:
        load(f"{LEAST}{line}\n")
    assert said in str(caught.value) and len(str(caught.value)) < 600


def test_a_path_may_stand_where_a_recipe_has_a_file():
    recipe = recipe_file.from_mapping({"task": "text_classification", "data": {"train": Path("rows") / "train.csv"}})
    assert recipe.data.train.endswith("rows/train.csv")


@pytest.mark.parametrize("name", ["x" * 300, "loop.yaml"])
def test_a_path_that_leads_nowhere_is_no_recipe(tmp_path, name):
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(RecipeError, match=r"There is no recipe .*\. `tunewright init DATA --out"):
        recipe_file.load(tmp_path / name)


def test_a_device_without_end_is_no_recipe():
    with pytest.raises(RecipeError, match="/dev/zero is larger than 1 MiB, so it is no recipe"):
        recipe_file.load("/dev/zero")


def test_a_mistake_in_a_changed_section_is_not_looked_for_in_the_file(refused):
    text = "task:\n  name: lora\n  multi_label: true\ndata: {train: a}\n"
    said = refused(text, "task={name: text_classification, multi_label: perhaps}")
    assert said.startswith("--set task: task.multi_label is 'perhaps'")
