"""Questions in SQuAD's nested JSON: articles of paragraphs, each a context with its questions and answers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from tunewright.core.contracts import Reader, Row
from tunewright.data import encoding as files
from tunewright.data import jsontext


@dataclass(frozen=True)
class Squad(Reader):
    """A row a question, with its context beside it: SQuAD 1.1 and 2.0, XQuAD, MLQA, CMRC 2018, DRCD."""

    encoding: str = "auto"  # auto: UTF-8, UTF-16 or GB18030, by the bytes; or any name that Python knows

    suffixes: ClassVar[tuple[str, ...]] = (".json",)

    def recognises(self, source: str) -> bool:
        """See Reader.recognises."""
        named = os.path.isfile(source) and Path(source).suffix.lower() in self.suffixes
        return named and jsontext.looks_nested(source)

    def read(self, source: str) -> Iterator[Row]:
        """See Reader.read. Rows are counted on from the line their article starts on: each has a place of its own."""
        place = 0
        for line, article in jsontext.items(source, files.check_encoding(self.encoding, source)):
            place = max(line, place + 1)
            rows = list(_rows(article))
            if not rows:
                yield Row(place, {}, "not an article with paragraphs and questions")
            for number, values in enumerate(rows):
                place += number > 0
                yield Row(place, values, "garbled: bytes that do not decode" if jsontext.marked(values) else "")

    def describe(self, source: str) -> dict[str, Any]:
        """See Reader.describe."""
        columns: dict[str, None] = {}
        for row in islice(self.read(source), 200):
            columns.update(dict.fromkeys(row.values))
        return {"encoding": files.check_encoding(self.encoding, source), "columns": list(columns)}


def _rows(article: Any) -> Iterator[dict[str, Any]]:
    """Each question of an article: what is told of it, with its context and the article's title."""
    for paragraph in _mappings(article, "paragraphs"):
        for question in _mappings(paragraph, "qas"):
            title = {"title": article["title"]} if "title" in article else {}
            yield {**title, "context": paragraph.get("context"), **question}


def _mappings(whole: Any, key: str) -> list[Mapping[str, Any]]:
    parts = whole.get(key) if isinstance(whole, Mapping) else None
    return [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []


def sample(folder: Path) -> Path:
    """A source for the conformance suite (tunewright/testing/conformance.py)."""
    import json

    qas = [
        {"id": "1", "question": "Who?", "answers": [{"text": "Anna", "answer_start": 0}], "is_impossible": False},
        {"id": "2", "question": "哪里？", "answers": [], "is_impossible": True},
    ]
    articles = [{"title": "😀", "paragraphs": [{"context": "Anna 在北京", "qas": qas}]}] * 3
    path = folder / "squad.json"
    path.write_text(json.dumps({"version": "v2.0", "data": articles}, ensure_ascii=False), encoding="utf-8")
    return path
