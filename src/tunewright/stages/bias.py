"""Whether rows that mention a group are judged otherwise: metric and error rates by term, against the other rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import recipe as recipes
from tunewright.core import statistics
from tunewright.core.bundle import Bundle
from tunewright.core.errors import DataError
from tunewright.core.types import label_names
from tunewright.data import encoding, sources
from tunewright.stages import judge
from tunewright.stages.evaluate import Judged

FEWEST = 10  # rows on either side of a rate, below which it says nothing
TOO_FEW = f"fewer than {FEWEST} rows for every rate"  # why a term has no largest gap


def read_terms(path: Path | str) -> tuple[str, ...]:
    """The terms of a file, one a line; empty lines and lines that begin with # do not count.

    Raises DataError when the file is not there, no text, or without terms.
    """
    if not Path(path).exists():
        raise DataError(sources.missing(str(path)))
    text = encoding.read_text(path, encoding.detect_encoding(path)) if Path(path).is_file() else ""
    terms = tuple(dict.fromkeys(line.strip() for line in text.lstrip("\ufeff").splitlines()))
    terms = tuple(term for term in terms if term and not term.startswith("#"))
    if not terms:
        raise DataError(f"{path} holds no terms. Write one a line, as names of groups: women, muslim, 残疾人.")
    return terms


def measure(bundle: Bundle, judged: Judged, terms: Sequence[str]) -> dict[str, Any]:
    """How rows that mention a term fare against the rows that mention none.

    Returns {"metric", "background": {"n", "value", "low", "high"}, "terms": [{"term", "n", "value", "low", "high",
    "difference": {"value", "low", "high"}, "rates": {label: {"false_positive_rate", "false_negative_rate",
    "background_…"}}, "largest_gap"}], worst first, "absent": terms that stand in no row}. Terms are found as whole
    words, whatever their case; Chinese ones anywhere. A rate over fewer than 10 rows is null, and so is the largest gap
    where no rate has ten rows on both sides (`TOO_FEW`).
    """
    texts = [" ".join(map(str, example.inputs.values())) for example in judged.examples]
    mentions = {term: np.array([bool(_pattern(term).search(text)) for text in texts]) for term in terms}
    background = np.flatnonzero(~np.any(list(mentions.values()), axis=0))
    if not len(background):
        raise DataError("Every row mentions one of the terms, so there is nothing to hold them against.")
    present = {term: np.flatnonzero(found) for term, found in mentions.items() if found.any()}
    subgroups = _Subgroups(bundle, judged, background)
    return {
        "metric": bundle.recipe.evaluate.metric,
        "background": {"n": len(background), **subgroups.value(background)},
        "terms": sorted(
            (subgroups.term(term, rows) for term, rows in present.items()), key=lambda part: part["difference"]["value"]
        ),
        "absent": [term for term in terms if term not in present],
    }


class _Subgroups:
    """Measures rows of a subgroup against the background rows."""

    def __init__(self, bundle: Bundle, judged: Judged, background: np.ndarray) -> None:
        self._recipe, self._labels = bundle.recipe, bundle.labels
        self._gold = judged.gold
        self._predictions = judged.predictions
        self._true = np.array([[label in label_names(gold) for label in bundle.labels] for gold in judged.gold])
        said = [label_names(prediction.value) for prediction in judged.predictions]
        self._said = np.array([[label in names for label in bundle.labels] for names in said])
        self._background = background
        self._background_values = self._resampled(background, self._recipe.seed)
        self._background_rates = self._rates(background)

    def value(self, rows: np.ndarray) -> dict[str, float]:
        """The deciding metric of `rows`, with its interval."""
        return self._summary(self._resampled(rows, self._recipe.seed))

    def term(self, term: str, rows: np.ndarray) -> dict[str, Any]:
        """One entry of `measure`'s "terms"."""
        # Other rows than the background's, so they are resampled on their own, with another seed.
        values = self._resampled(rows, self._recipe.seed + 1)
        own, rates = self._rates(rows), {}
        for index, label in enumerate(self._labels):
            rates[label] = {name: own[name][index] for name in own}
            rates[label] |= {f"background_{name}": self._background_rates[name][index] for name in own}
        return {
            "term": term,
            "n": len(rows),
            **self._summary(values),
            "difference": self._summary(values - self._background_values),
            "rates": rates,
            "largest_gap": _largest_gap(rates),
        }

    def _resampled(self, rows: np.ndarray, seed: int) -> np.ndarray:
        gold, said = [self._gold[row] for row in rows], [self._predictions[row] for row in rows]
        return judge.resampled(recipes.replace(self._recipe, seed=seed), gold, said, self._labels)

    def _summary(self, values: np.ndarray) -> dict[str, float]:
        found = statistics.summarise(values, confidence=self._recipe.evaluate.confidence)
        return {"value": found.value, "low": found.low, "high": found.high}

    def _rates(self, rows: np.ndarray) -> dict[str, list[float | None]]:
        """Each label's rates of wrong yes and wrong no in `rows`."""
        true, said = self._true[rows], self._said[rows]
        return {
            "false_positive_rate": _share(said & ~true, ~true),
            "false_negative_rate": _share(~said & true, true),
        }


def _share(part: np.ndarray, whole: np.ndarray) -> list[float | None]:
    parts, wholes = part.sum(axis=0), whole.sum(axis=0)
    return [float(a / b) if b >= FEWEST else None for a, b in zip(parts, wholes, strict=True)]


def _largest_gap(rates: Mapping[str, Mapping[str, float | None]]) -> dict[str, Any] | None:
    gaps = [
        {"label": label, "rate": name, "value": part[name], "background": part[f"background_{name}"]}
        for label, part in rates.items()
        for name in ("false_positive_rate", "false_negative_rate")
        if part[name] is not None and part[f"background_{name}"] is not None
    ]
    return max(gaps, key=lambda gap: abs(gap["value"] - gap["background"]), default=None)


def _pattern(term: str) -> re.Pattern[str]:
    """Whole words for scripts that have spaces between them."""
    word = re.escape(term)
    return re.compile(rf"(?<!\w){word}(?!\w)" if term.isascii() else word, re.IGNORECASE)
