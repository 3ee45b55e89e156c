"""A self-contained saved model: what its folder holds, and the hashes that show when it was changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright import __version__
from tunewright.core import catalog
from tunewright.core.contracts import Task
from tunewright.core.errors import BundleError, nearest
from tunewright.core.files import jsonable, read_json, sha256, write_json
from tunewright.core.recipe import Recipe
from tunewright.core.recipe_file import load
from tunewright.core.run import now
from tunewright.core.types import Policy

SCHEMA = 1
MANIFEST = "bundle.json"


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. See DESIGN in ARCHITECTURE.md for its folder."""

    folder: Path
    about: Mapping[str, Any]  # bundle.json
    task: Task
    labels: tuple[str, ...]
    policy: Policy

    @property
    def model_folder(self) -> Path:
        """The weights and tokenizer in the Hugging Face layout."""
        return self.folder / "model"

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe it was trained with."""
        return load(self.folder / "recipe.yaml")


def seal(folder: Path, *, task: Task, labels: Sequence[str], policy: Policy, **about: Any) -> None:
    """Write decision.json and, last, bundle.json with the hash of every file under `folder`."""
    decision = read_json(folder / "decision.json") if (folder / "decision.json").exists() else {}
    stored = {"thresholds": dict(policy.thresholds), "accept": policy.accept}
    write_json(folder / "decision.json", {**decision, **stored})
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    manifest = {
        "schema": SCHEMA,
        "tunewright": __version__,
        "created": now(),
        "task": catalog.describe(task),
        "labels": list(labels),
        **about,
        "files": {str(path.relative_to(folder)): sha256(path) for path in files},
    }
    write_json(folder / MANIFEST, {**manifest, "digest": _digest(manifest)})


def open_bundle(folder: Path | str) -> Bundle:
    """Open and check a bundle: it must be one, whole, unchanged, and of a schema this version reads.

    A run's folder stands for the bundle in it. Raises BundleError that says what is wrong and what to do.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file() and (folder / "bundle" / MANIFEST).is_file():
        folder = folder / "bundle"
    about = _manifest(folder)
    problems = _changed(folder, about)
    if problems:
        raise BundleError(
            f"{folder} was changed after it was saved: {'; '.join(problems[:3])}. "
            "Train again, or restore the bundle from where it came from."
        )
    decision = read_json(folder / "decision.json")
    return Bundle(
        folder=folder,
        about=about,
        task=_task(folder, about),
        labels=tuple(about["labels"]),
        policy=Policy(thresholds=decision["thresholds"], accept=decision["accept"]),
    )


def _task(folder: Path, about: Mapping[str, Any]) -> Task:
    try:
        return catalog.create("tasks", about["task"])  # type: ignore[return-value]
    except (TypeError, ValueError, KeyError):
        raise BundleError(
            f"{folder} is for a task that this version ({__version__}) does not know: {about.get('task')}. "
            f"Install the version that wrote it ({about.get('tunewright')}), or train again."
        ) from None


def _manifest(folder: Path) -> dict[str, Any]:
    if not os.path.exists(folder):  # a path that is too long is not there either
        parent = folder.parent if folder.parent.is_dir() else Path()
        near = nearest(folder.name, (path.name for path in parent.iterdir() if path.is_dir()))
        raise BundleError(f"There is no bundle {folder}.{near} `tunewright train` writes one into its run's folder.")
    if not (folder / MANIFEST).is_file():
        raise BundleError(
            f"{folder} is no bundle: it has no {MANIFEST}. Name a run's folder, or the folder `bundle` in it."
        )
    try:
        about = read_json(folder / MANIFEST)
        schema = about["schema"]
        if not isinstance(about["files"], dict) or not isinstance(about["labels"], list):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise BundleError(f"{folder / MANIFEST} is damaged: it is not what `tunewright train` wrote.") from None
    if schema != SCHEMA:
        raise BundleError(
            f"{folder} has schema {schema}; this version ({__version__}) reads schema {SCHEMA}. "
            "Install the version that wrote it, or train again."
        )
    return about


def _changed(folder: Path, about: Mapping[str, Any]) -> list[str]:
    problems, files = [], about["files"]
    if about.get("digest") != _digest(about):
        problems.append(f"{MANIFEST} is not what was saved")
    for name, digest in files.items():
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            problems.append(f"{name} lies outside the bundle")
        elif not path.is_file():
            problems.append(f"{name} is missing")
        elif sha256(path) != digest:
            problems.append(f"{name} is not what was saved")
    needed = {"decision.json", "model/config.json", "model/tokenizer.json"}
    problems += [f"{name} is not listed" for name in sorted(needed - set(files))]
    # Libraries that open a folder of the bundle (model, adapter) use what they find there.
    opened = {Path(name).parts[0] for name in files if "/" in name and not Path(name).is_absolute()}
    found = {
        path.relative_to(folder).as_posix() for name in opened for path in (folder / name).rglob("*") if path.is_file()
    }
    return problems + [f"{name} was added" for name in sorted(found - set(files))]


def _digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's own content."""
    content = jsonable({name: value for name, value in manifest.items() if name != "digest"})
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
