"""The contract of every kind of component as checks that any component joins by itself: ours, and yours.

A plug-in's whole conformance test, in its own repository:

    import pytest
    from tunewright.testing import cases

    @pytest.mark.parametrize("case", cases("methods", "my_method"), ids=str)
    def test_my_method_keeps_its_contract(case, tmp_path):
        case.run(tmp_path)

The checks lie in tunewright/testing/kinds: `every.py` holds what all components promise, and the file of a kind what
that kind promises; each function there is one promise. Where the suite cannot know what to feed a component (a reader
of a new form, a task with new inputs), the component's module says it in a function `sample(folder)`: for a reader the
path of a source it has written there, for an augmenter or a start settings with which it can work, for a task rows as mappings of
its inputs' and its targets' roles to values.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from tunewright.core import catalog
from tunewright.core.contracts import Component

KINDS = "tunewright.testing.kinds"


@dataclass(frozen=True)
class Subject:
    """The component that a check looks at, and a folder where the check may write."""

    kind: str
    name: str
    folder: Path

    @cached_property
    def cls(self) -> type[Component]:
        """Its class, found as recipes find it."""
        return catalog.find(self.kind, self.name)

    def create(self, **settings: Any) -> Any:
        """The component with these settings, and defaults for the others."""
        return catalog.create(self.kind, {"name": self.name, **settings})

    @property
    def module(self) -> ModuleType:
        """The module it stands in."""
        return sys.modules[self.cls.__module__]

    @property
    def sample(self) -> Callable[[Path], Any] | None:
        """Its module's own `sample(folder)`, if it has one."""
        return getattr(self.module, "sample", None)


@dataclass(frozen=True)
class Case:
    """One promise of one component."""

    kind: str
    name: str
    check: Callable[[Subject], None]

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}-{self.check.__name__}"

    @property
    def promise(self) -> str:
        """The promise in a sentence."""
        return inspect.getdoc(self.check) or ""

    def run(self, folder: Path | str) -> None:
        """Check it, writing only under `folder`, which must exist and be empty.

        Raises AssertionError where the promise is broken, and MachineError where the component needs a package that is
        not installed here.
        """
        self.check(Subject(self.kind, self.name, Path(folder)))


def cases(kind: str | None = None, name: str | None = None) -> list[Case]:
    """Every check of every component the catalog finds: of all kinds, of one kind, or of one component.

    Raises RecipeError with the nearest name when there is no such component.
    """
    if name is not None:
        return [Case(kind, name, check) for check in checks(kind)]
    kinds = [kind] if kind is not None else list(catalog.KINDS)
    return [case for kind in kinds for name in catalog.names(kind) for case in cases(kind, name)]


def checks(kind: str) -> list[Callable[[Subject], None]]:
    """The checks of a kind, in the order they stand in their files: what all components promise, then the kind."""
    found = _functions("every")
    return found + (_functions(kind) if importlib.util.find_spec(f"{KINDS}.{kind}") else [])


def _functions(file: str) -> list[Callable[[Subject], None]]:
    module = importlib.import_module(f"{KINDS}.{file}")
    return [
        value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]
