"""Only what was measured is served: a bundle's certificate must have passed, and its runtime must be one that was tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewright.core import catalog
from tunewright.core.bundle import Bundle
from tunewright.core.contracts import Runtime
from tunewright.core.errors import RecipeError, Refused, listing
from tunewright.core.files import read_json
from tunewright.core.gate import Gate
from tunewright.predict.predictor import EXACT


def require(bundle: Bundle, runtime: Runtime) -> None:
    """Raise Refused with what to do unless the bundle's certificate covers its answers by this runtime."""
    gate = _gate(bundle)
    if failed := gate.recompute().failed:
        raise Refused(
            f"{bundle.folder} is not served: its certificate failed ({'; '.join(check.name for check in failed)}), so "
            "it does not answer as what was evaluated. Train it again with this version of the libraries."
        )
    certified = _certified(bundle)
    if (described := catalog.describe(runtime)) not in certified:
        raise Refused(
            f"{bundle.folder} is not served by the runtime {_shown(described)}: it was not tried when the bundle was "
            f"made, or lost more than predict.max_loss allows, or changed more answers than predict.max_flips does. Certified: {listing(map(_shown, certified))}. Take one of "
            "them, --runtime auto for the one that was chosen, or train again where that runtime is installed."
        )


def _gate(bundle: Bundle) -> Gate:
    file = bundle.folder / "certificate.json"
    if not file.is_file():
        raise Refused(
            f"{bundle.folder} is not served: it has no certificate.json, so nobody has compared its answers with those "
            "that were evaluated. `tunewright train` writes one with every bundle: train again."
        )
    try:
        stored = read_json(file)
        gate = Gate.from_dict(stored)
        passed = stored["passed"]
    except (KeyError, TypeError, ValueError):
        raise Refused(f"{file} cannot be read as a certificate. Restore the bundle, or train again.") from None
    if passed is not gate.passed:
        raise Refused(f"{file} contradicts itself: `passed` is not what its checks say. Restore the bundle.")
    return gate


def _certified(bundle: Bundle) -> list[Mapping[str, Any]]:
    """Runtimes as recipes write them: full precision, the one the verdict is about, and others that lost no more than allowed."""
    found = [catalog.describe(catalog.create("runtimes", EXACT))]
    file = bundle.folder / "runtime.json"
    if file.is_file():
        about = read_json(file)
        tried = [trial for trial in about["trials"] if not trial.get("lacks") and _within(trial, about, bundle)]
        found += map(_today, [about["chosen"], *(trial["runtime"] for trial in tried)])
    return [runtime for index, runtime in enumerate(found) if runtime not in found[:index]]


def _today(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """A runtime that was described before it had further settings, with these; as it was, where it is not installed here."""
    try:
        return catalog.describe(catalog.create("runtimes", stored))
    except (RecipeError, TypeError):
        return stored


def _within(trial: Mapping[str, Any], about: Mapping[str, Any], bundle: Bundle) -> bool:
    allowed = bundle.recipe.predict
    few = allowed.max_flips is None or trial["flips"] <= allowed.max_flips * about["rows"]
    return trial["loss"] <= allowed.max_loss and few


def _shown(described: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in described.items() if name != "name")
    return f"{described['name']} ({settings})" if settings else described["name"]
