"""What tests of all layers share: a tiny backbone, intents in English and Chinese, and one trained run.

tiny_backbone: folder of a random backbone (2 layers, 32 wide) in the hub's layout.
intents_csv:   `.train` (102 rows) and `.test` (36 rows), CSV files with the columns text, label, language; three labels
               (card, music, weather), English and Chinese alike; six test rows carry a wrong label, so no model is
               perfect.
train_tiny:    function: train_tiny(folder, **changes) trains on these rows and returns the run's folder; `changes` are
               dotted recipe keys with __ for the dot, as train_tiny(folder, train__method="lora").
tiny_run:      folder of one such run, trained once a session: read it, never change it.
tiny_bundle:   the bundle in it; copy it before changing it.
watched:       a bundle with validation rows enough to say what is usual: .bundle, and CSV files: .validation (its own), .same
               (250 rows drawn alike), .other (of them 30 % of another kind).
command:       function: command("predict", bundle, "rows.csv") runs the command line in this process and gives
               (exit code, standard output, standard error).

No test needs a network: hub access is off for the whole session.
"""

from __future__ import annotations

import csv
import os
import random
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

ENGLISH = {
    "card": ("i lost my card", "my card is lost", "the bank card is not here", "help with my card"),
    "music": ("play a good song", "play my music now", "i want music", "start the song"),
    "weather": ("is the weather cold today", "what is the weather tomorrow", "rain or sun tomorrow", "is it hot"),
}
CHINESE = {
    "card": ("我的卡丢了", "银行卡找不到了", "帮助我卡丢了"),
    "music": ("我要音乐", "来一首歌", "我喜欢这歌"),
    "weather": ("今天天气好不好", "明天下雨吗", "天气冷不冷"),
}
ENDINGS = ("", "now", "today", "very much", "really", "too", "很", "吗")
TRAIN_ROWS, TEST_ROWS, WRONG_ROWS = 102, 36, 6


class Intents(NamedTuple):
    """CSV files with the columns text, label, language."""

    train: Path
    test: Path


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory) -> Path:
    from tunewright.testing.tiny import tiny_backbone

    return tiny_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="session")
def intents_csv(tmp_path_factory) -> Intents:
    rows = [
        (f"{text} {ending}".strip(), label, language)
        for language, texts in (("en", ENGLISH), ("zh", CHINESE))
        for label, sentences in texts.items()
        for text in sentences
        for ending in ENDINGS
    ]
    random.Random(0).shuffle(rows)
    test = rows[TRAIN_ROWS : TRAIN_ROWS + TEST_ROWS]
    following = dict(zip(ENGLISH, [*list(ENGLISH)[1:], "card"], strict=True))
    test[:WRONG_ROWS] = [(text, following[label], language) for text, label, language in test[:WRONG_ROWS]]
    folder = tmp_path_factory.mktemp("intents")
    return Intents(_written(folder / "train.csv", rows[:TRAIN_ROWS]), _written(folder / "test.csv", test))


@pytest.fixture(scope="session")
def train_tiny(tiny_backbone, intents_csv):
    from tunewright.core.recipe_file import from_mapping
    from tunewright.engine.local import train

    def train_in(folder: Path, resume: bool = False, **changes) -> Path:
        recipe = {
            "task": "text_classification",
            "data": {"train": str(intents_csv.train), "test": str(intents_csv.test)},
            "model": {"backbone": str(tiny_backbone)},
            "train": {"epochs": 2, "learning_rate": 0.002, "threads": 1, "precision": "fp32"},
            "evaluate": {"baselines": ["majority"], "resamples": 200, "slices": ["length", "language"]},
            "predict": {"runtime": "torch"},
        }
        for path, value in changes.items():
            *sections, key = path.split("__")
            section = recipe
            for name in sections:
                section = section.setdefault(name, {})
            section[key] = value
        return train(from_mapping(recipe), out=folder, resume=resume).run

    return train_in


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, train_tiny) -> Path:
    return train_tiny(tmp_path_factory.mktemp("runs") / "intents")


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run) -> Path:
    return tiny_run / "bundle"


SAID = {
    "card": ["i lost my card", "my card is lost", "the bank card is not here", "我的卡丢了", "银行卡找不到了"],
    "music": ["play a good song", "play my music now", "i want music", "我要音乐", "来一首歌"],
    "weather": ["is the weather cold today", "rain or sun tomorrow", "is it hot", "今天天气好不好", "明天下雨吗"],
}
MORE = ["now", "today", "very much", "really", "too", "please", "again", "很", "吗", "my", "the", "good", "is"]
FOREIGN = ["Ωmega σigma ∆elta", "zzz qqq xxx jjj", "ярко светит солнце над морем и горами"]


class Watched(NamedTuple):
    """A bundle with files of rows."""

    bundle: Path
    validation: Path
    same: Path
    other: Path


@pytest.fixture(scope="session")
def watched(tmp_path_factory, train_tiny) -> Watched:
    folder = tmp_path_factory.mktemp("watched")
    train, validation, test, same = (
        _written(folder / f"{name}.csv", _watched_rows(seed, count))
        for seed, (name, count) in enumerate([("train", 300), ("validation", 400), ("test", 60), ("same", 250)])
    )
    rows, mixed = _watched_rows(9, 250), random.Random(9)
    rows = [(mixed.choice(FOREIGN), label) if mixed.random() < 0.3 else (text, label) for text, label in rows]
    other = _written(folder / "other.csv", rows)
    data = {"data__train": str(train), "data__validation": str(validation), "data__test": str(test)}
    run = train_tiny(folder / "run", **data, evaluate__slices=["length"])
    return Watched(run / "bundle", validation, same, other)


def _watched_rows(seed: int, count: int) -> list[tuple[str, str]]:
    drawn = random.Random(seed)
    found = []
    for number in range(count):
        label = drawn.choice(list(SAID))
        more = " ".join(drawn.choices(MORE, k=drawn.randint(1, 8)))
        found.append((f"{drawn.choice(SAID[label])} {more} {number % 7}", label))
    return found


@pytest.fixture
def command(capsys):
    from tunewright.cli import main

    if not main.app.registered_commands:
        main._register()

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main.run([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def _written(path: Path, rows: list[tuple[str, ...]]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "language"][: len(rows[0])])
        writer.writerows(rows)
    return path
