"""A bundle with validation rows enough to say what is usual, and rows to hold against it.

watched: .bundle, and CSV files: .same (250 rows drawn as its validation rows), .other (of them 30 % of another kind),
         .validation (its own, labelled).
"""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import NamedTuple

import pytest

WORDS = {
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
        _written(folder / f"{name}.csv", _rows(seed, count))
        for seed, (name, count) in enumerate([("train", 300), ("validation", 400), ("test", 60), ("same", 250)])
    )
    rows, mixed = _rows(9, 250), random.Random(9)
    rows = [(mixed.choice(FOREIGN), label) if mixed.random() < 0.3 else (text, label) for text, label in rows]
    other = _written(folder / "other.csv", rows)
    data = {"data__train": str(train), "data__validation": str(validation), "data__test": str(test)}
    run = train_tiny(folder / "run", **data, evaluate__slices=["length"])
    return Watched(run / "bundle", validation, same, other)


def _rows(seed: int, count: int) -> list[tuple[str, str]]:
    drawn = random.Random(seed)
    found = []
    for number in range(count):
        label = drawn.choice(list(WORDS))
        more = " ".join(drawn.choices(MORE, k=drawn.randint(1, 8)))
        found.append((f"{drawn.choice(WORDS[label])} {more} {number % 7}", label))
    return found


def _written(path: Path, rows: list[tuple[str, str]]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)
    return path
