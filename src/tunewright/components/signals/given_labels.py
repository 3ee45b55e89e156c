"""Which labels are given, and how often each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tunewright.core.contracts import Signal, Task, Traffic
from tunewright.core.drift import Drift, compare_counts, compare_occurrences
from tunewright.core.types import Note

NONE = ""  # of a row that was given no label


@dataclass(frozen=True)
class GivenLabels(Signal):
    """Where every row has one label, their counts are compared as a whole; else each label by itself."""

    title: ClassVar[Note] = Note("labels given", "给出的标签")
    least: ClassVar[float] = 0.05  # of 100 rows, 5 of another label
    weight: ClassVar[float] = 3.0  # 30% more of one of two labels is 15 points of its share: 5 standard errors at most

    most: int = 200  # labels that are counted by themselves, the most frequent ones; the others are counted together

    def suits(self, task: Task) -> bool:
        """See Signal.suits. Documents that are found are texts, and nobody counts those."""
        return task.classes and not task.retrieves

    def learn(self, usual: Traffic) -> Mapping[str, Any] | None:
        """See Signal.learn."""
        counts = Counter(name for names in usual.names for name in set(names or (NONE,)))
        names = [name for name, _ in counts.most_common(self.most)]
        single = all(len(names) <= 1 for names in usual.names)
        known = {"names": names, "single": single, "rows": len(usual)}
        return {**known, "counts": self.sketch(usual, known)} if len(usual) else None

    def sketch(self, traffic: Traffic, usual: Mapping[str, Any]) -> np.ndarray:
        """See Signal.sketch: rows with each label, then with any other."""
        places = {name: place for place, name in enumerate(usual["names"])}
        found = np.zeros(len(places) + 1)
        for names in traffic.names:
            for place in {places.get(name, len(places)) for name in names or (NONE,)}:
                found[place] += 1
        return found

    def compare(self, usual: Mapping[str, Any], sketch: np.ndarray, rows: int) -> Drift:
        """See Signal.compare."""
        if usual["single"]:
            return compare_counts(usual["counts"], sketch)
        return compare_occurrences(usual["counts"], usual["rows"], sketch, rows)
