"""`init` sees what is in the data and writes a recipe that says so."""

from __future__ import annotations

import json
import shutil

import pytest

from tunewright.core.errors import DataError, LabelError, MachineError, RecipeError, UsageError
from tunewright.core.recipe import flat, to_mapping
from tunewright.core.recipe_file import load
from tunewright.stages import init
from tunewright.testing.tiny import tiny_backbone

ENGLISH = {"good": "a very {} film that they love", "bad": "it is a boring {} book and i hate it"}
CHINESE = {"好评": "这家的饭菜非常好吃{}喜欢", "差评": "送餐太慢{}又冷又难吃讨厌"}


def table(path, texts, rows=40, head="text,label"):
    """A CSV with the labels of `texts` in turn, texts all different."""
    labels = list(texts)
    lines = [f"{texts[labels[i % len(labels)]].format(f'no {i} ')},{labels[i % len(labels)]}" for i in range(rows)]
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    return str(tiny_backbone(tmp_path_factory.mktemp("backbone")))


@pytest.fixture
def tiny(backbone):
    return [f"model.backbone={backbone}"]


@pytest.fixture
def without_packages(monkeypatch):
    """No packaged backbone is installed."""

    def refuse(name, **allowed):
        raise MachineError(f"{name} is not installed")

    monkeypatch.setattr(init, "locate", refuse)


@pytest.mark.parametrize(
    ("texts", "language", "name", "chosen"),
    [(ENGLISH, "en", "English", "minilm-l6-en"), (CHINESE, "zh", "Chinese", "e5-small-multilingual")],
)
def test_language_decides_the_backbone(tmp_path, without_packages, texts, language, name, chosen):
    seen = init.look(table(tmp_path / "data.csv", texts))
    assert seen.language == language
    assert seen.recipe.model.backbone == chosen
    assert "the texts are in" in seen.reasons["model.backbone"]
    assert any(note.startswith(f"Language: {name} 100%. Backbone: {chosen}") for note in seen.notes)
    assert "tokens" not in seen.lengths


def test_rows_labels_and_lengths_are_exact(tmp_path, tiny):
    seen = init.look(table(tmp_path / "data.csv", ENGLISH), changes=tiny)
    assert seen.labels == {"good": 20, "bad": 20}
    assert sum(seen.rows.values()) == 40
    assert seen.lengths["characters"]["longest"] == len("it is a boring no 39  book and i hate it")
    assert seen.lengths["tokens"]["longest"] >= seen.lengths["tokens"]["median"] > 5
    assert any("40 rows for train (csv, utf-8, delimiter ',')" in note for note in seen.notes)


def test_what_will_be_split_off_is_said(tmp_path, tiny):
    seen = init.look(table(tmp_path / "data.csv", ENGLISH), changes=tiny)
    assert any(
        "No test file: 8 rows (20%) are split off train, each label in its share, sealed" in n for n in seen.notes
    )
    assert any("No validation file: 4 rows (10%)" in note for note in seen.notes)


def test_given_splits_are_used_and_written(tmp_path, tiny):
    train, test = table(tmp_path / "a.csv", ENGLISH), table(tmp_path / "b.csv", ENGLISH, rows=10)
    seen = init.look(train, test=test, changes=tiny)
    assert seen.recipe.data.test == test
    assert not any(note.startswith("No test file") for note in seen.notes)


def test_a_file_that_looks_like_a_split_is_pointed_at(tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "test.csv", ENGLISH)
    seen = init.look(table(tmp_path / "train.csv", ENGLISH), changes=tiny)
    assert "test.csv stands beside train.csv and is not used: --test test.csv would use it." in seen.notes


def test_columns_are_guessed_with_the_reason_beside_them(tmp_path, tiny):
    train = table(tmp_path / "data.csv", ENGLISH, head="body,topic")
    init.write(init.look(train, changes=tiny), tmp_path / "recipe.yaml")
    line = next(line for line in (tmp_path / "recipe.yaml").read_text().splitlines() if "columns:" in line)
    assert "{text: body, label: topic}" in line
    assert "its name says so" in line


def test_named_columns_are_not_guessed(tmp_path, tiny):
    path = tmp_path / "data.csv"
    path.write_text("text,label,tone\n" + "".join(f"it is no {i},x{i},{'ab'[i % 2]}\n" for i in range(30)))
    seen = init.look(str(path), changes=[*tiny, "data.columns.label=tone"])
    assert set(seen.labels) == {"a", "b"}
    assert seen.columns == {"text": "text", "label": "tone"}
    assert any("Not learned from: 'label'" in note for note in seen.notes)


def test_several_labels_a_row_are_seen(tmp_path, tiny):
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "".join(f"it is no {i},{['a|b', 'b', 'a', 'a|c'][i % 4]}\n" for i in range(40)))
    seen = init.look(str(path), changes=tiny)
    assert seen.recipe.task.multi_label
    assert seen.recipe.task.separator == "|"
    assert set(seen.labels) == {"a", "b", "c"}
    assert any("multi_label: a text can have several labels" in note for note in seen.notes)


def test_imbalance_says_what_follows_from_it(tmp_path, tiny):
    path = tmp_path / "data.csv"
    lines = [f"it was no {i},{'rare' if i % 50 == 0 else 'common'}" for i in range(300)]
    path.write_text("\n".join(["text,label", *lines]))
    seen = init.look(str(path), changes=tiny)
    assert any("classes are weighed, and macro_f1 decides" in note for note in seen.notes)


def test_labels_that_are_even_are_said_to_be_and_only_odd_names_are_quoted(tmp_path, tiny):
    path = tmp_path / "data.csv"
    names = ("差评", "a  b")
    path.write_text("text,label\n" + "".join(f"it is no {i},{names[i % 2]}\n" for i in range(40)), encoding="utf-8")
    notes = init.look(str(path), changes=tiny).notes
    assert {"Labels: 2 (差评 20, 'a  b' 20).", "Labels: 2 ('a  b' 20, 差评 20)."} & set(notes)
    assert "Balance: in train, the labels are even (14 rows each)." in notes


def test_other_columns_that_could_be_the_label_are_named_where_it_was_a_guess(tmp_path, tiny):
    path = tmp_path / "data.csv"
    lines = [f"it was no {i},{'ab'[i % 2]},{('x', 'y', 'z')[i % 3]}" for i in range(60)]
    path.write_text("\n".join(["text,mood,the channel", *lines]))
    note = next(note for note in init.look(str(path), changes=tiny).notes if note.startswith("Columns: "))
    assert "label from 'mood'" in note
    assert "'the channel' would fit too: --set 'data.columns.label=the channel'" in note
    path.write_text("\n".join(["text,label,channel", *lines]))
    note = next(note for note in init.look(str(path), changes=tiny).notes if note.startswith("Columns: "))
    assert "would fit too" not in note


def test_an_error_on_no_labels_names_no_wrong_column_and_one_on_other_keys_gives_no_hint_on_columns(tmp_path, tiny):
    path = tmp_path / "data.csv"
    path.write_text("id,text\n" + "".join(f"{i},so it is {i}\n" for i in range(30)))
    with pytest.raises(DataError, match=r"as \{label: NAME\};.*--set data\.columns\.label=NAME"):
        init.look(str(path), changes=tiny)
    train = table(tmp_path / "a.csv", ENGLISH)
    with pytest.raises(LabelError, match=r"data\.labels") as caught:
        init.look(train, changes=[*tiny, "data.labels=[good, fine]"])
    assert "data.columns" not in str(caught.value)


@pytest.mark.parametrize(("name", "head"), [("a.xls", b"\xd0\xcf\x11\xe0"), ("a.pdf", b"%PDF-1.4\n")])
def test_documents_are_to_be_saved_as_csv(tmp_path, name, head):
    (tmp_path / name).write_bytes(head + bytes(600))
    with pytest.raises(DataError, match=r"save it(s rows)? as CSV \(UTF-8\)"):
        init.look(str(tmp_path / name))


def test_lost_rows_are_said_in_words(tmp_path, tiny):
    path = tmp_path / "data.csv"
    table(path, ENGLISH)
    path.write_text(path.read_text() + ",good\n")
    seen = init.look(str(path), changes=tiny)
    assert any("Left out of train: 1 row without text" in note for note in seen.notes)


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE])
def test_the_written_recipe_loads_as_the_same_recipe(tmp_path, tiny, texts):
    seen = init.look(table(tmp_path / "data.csv", texts), changes=[*tiny, "train.method=lora", "train.epochs=2"])
    init.write(seen, tmp_path / "recipe.yaml")
    assert load(tmp_path / "recipe.yaml") == seen.recipe


def test_every_key_is_written_with_a_comment(tmp_path, tiny):
    seen = init.look(table(tmp_path / "data.csv", ENGLISH), changes=tiny)
    init.write(seen, tmp_path / "recipe.yaml")
    lines = [line for line in (tmp_path / "recipe.yaml").read_text().splitlines() if not line.startswith("#")]
    written = {line.strip().partition(":")[0] for line in lines}
    for key, _ in flat(to_mapping(seen.recipe)):
        assert written & set(key.split(".")), key
    assert [line for line in lines if "  # " not in line and "name:" not in line] == []


def test_data_beside_the_recipe_moves_with_it(tmp_path, tiny):
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "data").mkdir(parents=True)
    seen = init.look(table(old / "data" / "train.csv", ENGLISH), changes=tiny)
    init.write(seen, old / "recipe.yaml")
    assert "train: data/train.csv  #" in (old / "recipe.yaml").read_text()
    shutil.move(old, new)
    assert load(new / "recipe.yaml").data.train == str(new / "data" / "train.csv")


def test_data_elsewhere_is_named_by_its_whole_path(tmp_path, tiny):
    (tmp_path / "recipes").mkdir()
    train = table(tmp_path / "train.csv", ENGLISH)
    init.write(init.look(train, changes=tiny), tmp_path / "recipes" / "recipe.yaml")
    assert f"train: {train}  #" in (tmp_path / "recipes" / "recipe.yaml").read_text()


def test_odd_names_in_the_data_cannot_break_the_recipe(tmp_path, tiny):
    path = tmp_path / "data.csv"
    labels = ("one", "x\nseed: 1")
    rows = "".join(f'it is no {i},"{labels[i % 2]}"\n' for i in range(30))
    path.write_text(f'text,"tone\nmodel: evil"\n{rows}')
    seen = init.look(str(path), changes=tiny)
    assert seen.columns["label"] == "tone\nmodel: evil"
    init.write(seen, tmp_path / "recipe.yaml")
    assert load(tmp_path / "recipe.yaml") == seen.recipe


def test_of_a_large_file_the_first_rows_are_looked_at(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(init, "LARGE", 100)
    monkeypatch.setattr(init, "FIRST", 60)
    seen = init.look(table(tmp_path / "data.csv", ENGLISH, rows=500), changes=tiny)
    assert sum(seen.labels.values()) == 60
    assert "Only the first 60 rows of data.csv were looked at, as it is large." in seen.notes
    assert seen.recipe.data.reader == "auto"


def test_a_large_sorted_file_is_read_to_its_end(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(init, "LARGE", 100)
    monkeypatch.setattr(init, "FIRST", 20)
    path = tmp_path / "data.csv"
    lines = [f"it was no {i},{'a' if i < 50 else 'b'}" for i in range(100)]
    path.write_text("\n".join(["text,label", *lines]))
    assert init.look(str(path), changes=tiny).labels == {"a": 50, "b": 50}


def rows(count, row, head="text,label"):
    return "\n".join([head, *(row.format(i) for i in range(count))])


BAD = {
    "empty": ("", "is empty: it holds no rows"),
    "one class": (rows(9, "so {},a"), "has one label only ('a')"),
    "one row per label": ("text,label\none,a\ntwo,b\nthree,c\n", "has one row per label"),
    "no label": (rows(30, "{0},so it is {0}", head="id,words"), "seems to have no labels"),
    "label empty": (rows(30, "so it is {},"), "has no labels"),
    "one column": (rows(30, "so it is {}", head="text"), "a text and a label are needed"),
    "binary": (bytes(range(256)) * 40, "data.csv is not a text file (it looks like binary data)"),
}


@pytest.mark.parametrize("case", BAD)
def test_data_that_makes_no_recipe_is_refused(tmp_path, tiny, case):
    content, message = BAD[case]
    (tmp_path / "data.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        init.look(str(tmp_path / "data.csv"), changes=tiny)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_gets_the_nearest_name(tmp_path, tiny):
    table(tmp_path / "train.csv", ENGLISH)
    with pytest.raises(DataError, match=r"There is no file or folder .*trian.csv'\. Did you mean .*train.csv'\?"):
        init.look(str(tmp_path / "trian.csv"), changes=tiny)


def test_a_column_that_is_missing_says_how_init_takes_it(tmp_path, tiny):
    train = table(tmp_path / "data.csv", ENGLISH, head="body,topic")
    with pytest.raises(DataError, match=r"Did you mean 'topic'\?.*--set data\.columns\.label=NAME"):
        init.look(train, changes=[*tiny, "data.columns.label=topik"])


def test_a_label_of_test_that_train_lacks_is_refused(tmp_path, tiny):
    train = table(tmp_path / "a.csv", ENGLISH)
    test = table(tmp_path / "b.csv", {"good": "it is {}", "goood": "it was {}"}, rows=10)
    with pytest.raises(LabelError, match="Did you mean 'good'"):
        init.look(train, test=test, changes=tiny)


def test_an_unknown_task_gets_the_nearest_name(tmp_path, tiny):
    with pytest.raises(RecipeError, match="Did you mean 'text_classification'"):
        init.look(table(tmp_path / "data.csv", ENGLISH), task="text_clasification", changes=tiny)


def test_an_existing_recipe_stays_unless_forced(tmp_path, tiny):
    seen = init.look(table(tmp_path / "data.csv", ENGLISH), changes=tiny)
    (tmp_path / "recipe.yaml").write_text("mine")
    with pytest.raises(UsageError, match="exists already and stays as it is"):
        init.write(seen, tmp_path / "recipe.yaml")
    assert (tmp_path / "recipe.yaml").read_text() == "mine"
    init.write(seen, tmp_path / "recipe.yaml", force=True)
    assert load(tmp_path / "recipe.yaml") == seen.recipe


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(UsageError, match=r"is a folder\. Name the recipe's file"):
        init.refuse_taken(tmp_path)


def test_further_columns_of_text_are_named_with_how_to_read_them(tmp_path, tiny):
    source = tmp_path / "train.csv"
    words = {"good": "love it", "bad": "hate it"}
    lines = [f"title {i},{words[label]} number {i},{label}" for i in range(20) for label in words]
    source.write_text("\n".join(["title,text,label", *lines]) + "\n")
    seen = init.look(str(source), changes=tiny)
    assert any("--set 'task.texts=[title, text]' reads all." in note for note in seen.notes)
    both = init.look(str(source), changes=[*tiny, "task.texts=[title, text]"])
    assert both.columns == {"title": "title", "text": "text", "label": "label"}
    assert not any("task.texts" in note for note in both.notes)


def test_questions_on_one_context_are_kept_on_one_side_of_a_cut(tmp_path, tiny):
    rows = [
        {"question": f"who is number {n}", "context": f"Anna is number {n // 3} now", "answers": ["Anna"]}
        for n in range(90)
    ]
    train = tmp_path / "qa.jsonl"
    train.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    seen = init.look(str(train), changes=tiny)
    assert seen.recipe.data.split.by == "grouped" and seen.recipe.data.split.column == "context"
    assert "one side of a cut" in seen.reasons["data.split.by"]
    chosen = init.look(str(train), changes=[*tiny, "data.split.test_share=0.3"])
    assert chosen.recipe.data.split.by == "stratified"  # what the user says stands
    train.write_text("\n".join(json.dumps({**row, "context": f"{row['context']} {n}"}) for n, row in enumerate(rows)))
    assert init.look(str(train), changes=tiny).recipe.data.split.by == "stratified"
