"""Find components: by the file they stand in, or by an entry point of another package. No central list."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import io
import tokenize
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.core import contracts
from tunewright.core.contracts import Component
from tunewright.core.errors import RecipeError, listing, nearest

# One folder under components/ for each kind; entry points of other packages use the group "tunewright.<kind>".
KINDS: dict[str, type[Component]] = {
    "readers": contracts.Reader,
    "backbones": contracts.Backbone,
    "heads": contracts.Head,
    "tasks": contracts.Task,
    "augmenters": contracts.Augmenter,
    "methods": contracts.Method,
    "starts": contracts.Start,
    "semi_supervision": contracts.SemiSupervision,
    "objectives": contracts.Objective,
    "regularisers": contracts.Regulariser,
    "optimizers": contracts.Optimizer,
    "schedules": contracts.Schedule,
    "averages": contracts.Averaging,
    "calibrators": contracts.Calibrator,
    "baselines": contracts.Baseline,
    "trackers": contracts.Tracker,
    "runtimes": contracts.Runtime,
    "passes": contracts.CompressionPass,
    "signals": contracts.Signal,
}
SINGULAR = {"passes": "pass"}  # of kinds that do not end in a mere s
COMPONENTS = Path(__file__).parent.parent / "components"
REQUIRED = object()


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting of a component or recipe section, read from its field: the comment beside it is its help."""

    name: str
    type: Any
    default: Any  # REQUIRED when it has none
    why: str


def names(kind: str) -> list[str]:
    """Names of all components of `kind`, in order, without importing them."""
    own = [file.stem for file in (COMPONENTS / kind).glob("*.py") if not file.stem.startswith("_")]
    return sorted({_shown(kind, name) for name in (*own, *(point.name for point in _entry_points(kind)))})


@functools.cache
def find(kind: str, name: str) -> type[Component]:
    """The class of component `name`. Raises RecipeError with the nearest name when there is none."""
    stem = name.replace("-", "_")
    file = COMPONENTS / kind / f"{stem}.py"
    if stem.isidentifier() and not stem.startswith("_") and file.exists():
        module = importlib.import_module(f"tunewright.components.{kind}.{stem}")
    else:
        points = [point for point in _entry_points(kind) if point.name.replace("-", "_") == stem]
        if not points:
            known = names(kind)
            raise RecipeError(
                f"There is no {SINGULAR.get(kind, kind.rstrip('s'))} named {name!r}.{nearest(name, known)} Known: {listing(known, 30)}."
            )
        module = _plugin(points[0])
    return _component_of(module, KINDS[kind])


def refresh() -> None:
    """Look again: what was installed since the first look is found as well."""
    find.cache_clear()
    _entry_points.cache_clear()


def create(kind: str, choice: str | Mapping[str, Any]) -> Component:
    """A component from its name, or from {"name": …, setting: value}; settings must fit their fields' types.

    Lists, as JSON has them, become tuples.
    """
    settings = {"name": choice} if isinstance(choice, str) else {key: _fixed(value) for key, value in choice.items()}
    name = settings.pop("name")
    return find(kind, name)(**settings)


def _fixed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _fixed(item) for key, item in value.items()}
    return tuple(map(_fixed, value)) if isinstance(value, (list, tuple)) else value


def name_of(component: Component | type[Component]) -> str:
    """The name that recipes use for this component: its file's."""
    cls = component if inspect.isclass(component) else type(component)
    kind = next(kind for kind, contract in KINDS.items() if issubclass(cls, contract))
    return _shown(kind, cls.__module__.rpartition(".")[2])


def describe(component: Component) -> dict[str, Any]:
    """A component as a recipe writes it: {"name": …, every setting}."""
    return {"name": name_of(component), **dataclasses.asdict(component)}


def summary(kind: str, name: str) -> str:
    """The first line of the docstring of a component's file, read without importing it where possible."""
    file = COMPONENTS / kind / f"{name.replace('-', '_')}.py"
    if file.exists():
        text = ast.get_docstring(ast.parse(file.read_text("utf-8")))
    else:
        text = inspect.getdoc(inspect.getmodule(find(kind, name)))
    return (text or "").partition("\n")[0]


@functools.cache
def settings(cls: type) -> tuple[Setting, ...]:
    """The settings of a dataclass in order, each with its type, default and the comment that gives the reason."""
    hints = typing.get_type_hints(cls, include_extras=True)
    comments = _comments(cls)
    found = []
    for field in dataclasses.fields(cls):
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            default = REQUIRED
        found.append(Setting(field.name, hints[field.name], default, comments.get(field.name, "")))
    return tuple(found)


def kind_of(hint: Any) -> str | None:
    """The kind whose contract `hint` is ("methods" for Method), or None when it is no component's type."""
    return next((kind for kind, contract in KINDS.items() if hint is contract), None)


def _plugin(point: importlib.metadata.EntryPoint) -> Any:
    """The module of another package's component. Its name must be the module's: recipes are written with it."""
    package = point.dist.name if point.dist else "another package"
    try:
        found = point.load()
    except Exception as error:  # whatever another package's code raises
        raise RecipeError(
            f"The plug-in {point.name!r} of {package} cannot be loaded: {type(error).__name__}: {error}. "
            "Mend or uninstall it."
        ) from error
    module = inspect.getmodule(found)
    if module is None or module.__name__.rpartition(".")[2] != point.name.replace("-", "_"):
        raise RecipeError(
            f"The plug-in {point.name!r} of {package} stands in {getattr(module, '__name__', point.value)}: its file "
            "must carry its name, so that written recipes find it again."
        )
    return module


def _component_of(module: Any, contract: type[Component]) -> type[Component]:
    own = [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls) and issubclass(cls, contract) and cls.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise RecipeError(f"{module.__name__} must define exactly one {contract.__name__}, and defines {len(own)}.")
    if lacking := sorted(getattr(own[0], "__abstractmethods__", ())):
        raise RecipeError(f"{module.__name__} lacks what every {contract.__name__} has: {listing(lacking)}.")
    return own[0]


def _shown(kind: str, name: str) -> str:
    """A name as recipes write it. Dashes and underscores are the same; models' names are known with dashes."""
    return name.replace("_", "-") if kind == "backbones" else name.replace("-", "_")


@functools.cache
def _entry_points(kind: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=f"tunewright.{kind}"))


def _comments(cls: type) -> dict[str, str]:
    """Field → its trailing comment, joined with comment lines that follow it at the same or a deeper column.

    Where a class says another thing of a field than the one it extends, its own word counts.
    """
    found: dict[str, str] = {}
    for base in cls.__mro__:
        if not dataclasses.is_dataclass(base):
            continue
        try:
            source = inspect.getsource(base)
        except (OSError, TypeError):
            continue
        current, last_line = "", -1
        for token in tokenize.generate_tokens(io.StringIO(inspect.cleandoc("\n" + source)).readline):
            if token.type == tokenize.NAME and token.start[1] == 4:
                current = token.string
            elif token.type == tokenize.COMMENT and current in base.__annotations__:
                text = token.string.lstrip("# ").strip()
                trailing = not token.line.strip().startswith("#")
                if trailing and current not in found:
                    found[current], last_line = text, token.start[0]
                elif not trailing and last_line == token.start[0] - 1:
                    found[current] += " " + text
                    last_line = token.start[0]
    return found
