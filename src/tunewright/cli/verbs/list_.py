"""List what a recipe can name: backbones, methods, optimizers, readers, baselines … with their settings.

Examples:

  tunewright list

  tunewright list methods

  tunewright list backbones --json
"""

from __future__ import annotations

import typing
from typing import Any

import typer

from tunewright.cli import output
from tunewright.core.errors import UsageError, nearest


def command(
    kind: str = typer.Argument(None, metavar="KIND", help="One kind, with the settings of each component."),
    json: bool = output.JSON,
) -> None:
    from tunewright.core import catalog

    kinds = [_kind(kind)] if kind else list(catalog.KINDS)
    if json:
        output.emit(
            {"components": {name: [describe(name, component) for component in catalog.names(name)] for name in kinds}}
        )
        return
    for name in kinds:
        _tell(name, with_settings=kind is not None)
    if kind is None:
        print("\n`tunewright list KIND` shows settings too.")


def describe(kind: str, name: str) -> dict[str, Any]:
    """A component: {"name", "summary", "settings": [{"name", "type", "default", "why"}]}."""
    from tunewright.core import catalog
    from tunewright.core.recipe import to_mapping

    settings = catalog.settings(catalog.find(kind, name))
    return {
        "name": name,
        "summary": catalog.summary(kind, name),
        "settings": [
            {
                "name": setting.name,
                "type": _type(setting.type),
                "default": None if setting.default is catalog.REQUIRED else to_mapping(setting.default),
                "why": setting.why,
            }
            for setting in settings
        ],
    }


def _kind(given: str) -> str:
    """The kind that `given` names, in the singular or plural."""
    from tunewright.core import catalog

    known = {**{name: name for name in catalog.KINDS}, **{name.rstrip("s"): name for name in catalog.KINDS}}
    if given not in known:
        raise UsageError(
            f"There is no kind of component {given!r}.{nearest(given, catalog.KINDS)} "
            f"Known: {', '.join(catalog.KINDS)}."
        )
    return known[given]


def _type(hint: Any) -> str:
    """A setting's type in words a recipe's writer knows."""
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(map(str, typing.get_args(hint)))
    members = typing.get_args(hint) if not isinstance(hint, type) or typing.get_origin(hint) else ()
    if typing.get_origin(hint) is dict:
        return "mapping"
    if members and typing.get_origin(hint) in (tuple, list):
        return f"list of {_type(members[0])}"
    if members:
        return " | ".join(_type(member) for member in members)
    return "none" if hint is type(None) else getattr(hint, "__name__", str(hint))


def _tell(kind: str, *, with_settings: bool) -> None:
    from tunewright.core import catalog

    print(f"\n{kind}")
    names = catalog.names(kind)
    width = max(map(len, names), default=0)
    for name in names:
        print(f"  {name:<{width}}  {catalog.summary(kind, name)}")
        for setting in describe(kind, name)["settings"] if with_settings else ():
            default = "" if setting["default"] is None else f" = {_shown(setting['default'])}"
            print(f"    {setting['name']}: {setting['type']}{default}  {setting['why']}")


def _shown(default: Any) -> str:
    """A default as a recipe writes it."""
    if isinstance(default, list):
        return f"[{', '.join(map(str, default))}]"
    return str(default).lower() if isinstance(default, bool) else str(default)
