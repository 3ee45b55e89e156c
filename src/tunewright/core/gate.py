"""Named checks that decide: the type behind every verdict, certificate and promotion. Recomputable from its JSON."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tunewright.core.types import Note

RELATIONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}


@dataclass(frozen=True)
class Check:
    """One comparison that was made: `value relation limit`, whether it held, and why it is asked."""

    name: str
    value: float | None  # None: could not be measured, which never passes
    limit: float
    relation: str
    passed: bool
    why: Note


@dataclass(frozen=True)
class Gate:
    """Checks that must all pass."""

    name: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed; a gate without checks does."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def recompute(self) -> Gate:
        """The same gate with every `passed` derived anew from value, relation and limit: nothing stated is believed."""
        return replace(self, checks=tuple(replace(check, passed=_holds(check)) for check in self.checks))

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON: {"name", "passed", "checks": [{…}]}."""
        return {"name": self.name, "passed": self.passed, "checks": [asdict(check) for check in self.checks]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Gate:
        """A gate as it was stored. Call `recompute` on it before relying on it."""
        checks = ({**check, "why": Note(**check["why"])} for check in stored["checks"])
        return cls(stored["name"], tuple(Check(**check) for check in checks))


def check(name: str, value: float | None, relation: str, limit: float, why: Note) -> Check:
    """Make the comparison `value relation limit`. Raises KeyError for a relation that is none of > >= < <= ==."""
    value = None if value is None or value != value else float(value)
    made = Check(name, value, float(limit), relation, passed=False, why=why)
    return replace(made, passed=_holds(made))


def _holds(made: Check) -> bool:
    compare = RELATIONS[made.relation]
    return made.value is not None and bool(compare(made.value, made.limit))
