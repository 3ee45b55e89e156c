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
from tunewright.core.errors import BundleError, listing, nearest
from tunewright.core.files import jsonable, read_json, sha256, write_json
from tunewright.core.recipe import Recipe
from tunewright.core.recipe_file import load
from tunewright.core.run import now
from tunewright.core.types import Policy

SCHEMA = 1
MANIFEST = "bundle.json"
# In a bundle that holds several variants: each one's folder, what they have in common, and which of it a model uses.
VARIANTS, SHARED, INDEX = "variants", "shared", "shared.json"


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
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
    _write_manifest(folder, {"task": catalog.describe(task), "labels": list(labels), **about}, files)


def seal_variants(folder: Path, variants: Mapping[str, Mapping[str, Any]], **about: Any) -> None:
    """Write bundle.json of a bundle whose sealed variants lie under `folder`: their manifests' hashes stand for their files.

    variants: name → what is said of it.
    """
    manifests = [folder / VARIANTS / name / MANIFEST for name in variants]
    files = [path for path in (*folder.glob("*"), *(folder / SHARED).rglob("*")) if path.is_file()]
    _write_manifest(folder, {**about, VARIANTS: variants}, [*files, *manifests])


def _write_manifest(folder: Path, about: Mapping[str, Any], files: Sequence[Path]) -> None:
    head = {"schema": SCHEMA, "tunewright": __version__, "created": now()}
    hashes = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(files)}
    manifest = {**head, **about, "files": hashes}
    write_json(folder / MANIFEST, {**manifest, "digest": _digest(manifest)})


def open_bundle(folder: Path | str, variant: str | None = None) -> Bundle:
    """Open and check a bundle: it must be one, whole, unchanged, and of a schema this version reads.

    variant: which one, of a bundle that holds several; None: its default. A run's folder stands for the bundle in it, and
    a variant's folder for that variant. Raises BundleError that says what is wrong and what to do.
    """
    folder = _of_run(Path(folder))
    if variant is None and folder.parent.name == VARIANTS and (folder.parent.parent / MANIFEST).is_file():
        folder, variant = folder.parent.parent, folder.name
    about = _checked(folder)
    if VARIANTS in about:
        folder = folder / VARIANTS / _chosen(folder, about, variant)
        about = _checked(folder)
    elif variant is not None:
        raise BundleError(f"{folder} holds one model and no variants: leave out the variant {variant!r}.")
    decision = read_json(folder / "decision.json")
    return Bundle(
        folder=folder,
        about=about,
        task=_task(folder, about),
        labels=tuple(about["labels"]),
        policy=Policy(thresholds=decision["thresholds"], accept=decision["accept"]),
    )


def variants_of(folder: Path | str) -> tuple[str, ...]:
    """The variants that a bundle holds, checked as by `open_bundle`; () where it is one model."""
    return tuple(_checked(_of_run(Path(folder))).get(VARIANTS, ()))


def _of_run(folder: Path) -> Path:
    """The bundle in a run's folder; any other folder as it is."""
    is_run = not (folder / MANIFEST).is_file() and (folder / "bundle" / MANIFEST).is_file()
    return folder / "bundle" if is_run else folder


def _chosen(folder: Path, about: Mapping[str, Any], variant: str | None) -> str:
    name, names = variant if variant is not None else about.get("default"), about[VARIANTS]
    if name in names:
        return name
    there = f"Its variants: {listing(names)}."
    if name is not None:
        raise BundleError(f"{folder} holds no variant {name!r}.{nearest(name, names)} {there}")
    first = next(iter(names))
    raise BundleError(
        f"{folder} holds several variants. {there} Choose one: --variant {first}, variant={first!r} in Python, or the "
        f"folder {folder / VARIANTS / first} in place of the bundle."
    )


def _checked(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle that is whole and unchanged."""
    about = _manifest(folder)
    if problems := _changed(folder, about):
        raise BundleError(
            f"{folder} was changed after it was saved: {'; '.join(problems[:3])}. "
            "Train again, or restore the bundle from where it came from."
        )
    return about


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
        if not isinstance(about["files"], dict) or not isinstance(about.get(VARIANTS, {}), dict):
            raise TypeError
        if VARIANTS not in about and not isinstance(about["labels"], list):
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
    problems += [f"{name} is not listed" for name in sorted(_needed(about) - set(files))]
    # Libraries that open a folder of the bundle (model, adapter) use what they find there.
    opened = {Path(name).parts[0] for name in files if "/" in name and not Path(name).is_absolute()} - {VARIANTS}
    found = {
        path.relative_to(folder).as_posix() for name in opened for path in (folder / name).rglob("*") if path.is_file()
    }
    return problems + [f"{name} was added" for name in sorted(found - set(files))]


def _needed(about: Mapping[str, Any]) -> set[str]:
    """The files without which there is no bundle."""
    if VARIANTS in about:
        return {f"{SHARED}/model.safetensors", *(f"{VARIANTS}/{name}/{MANIFEST}" for name in about[VARIANTS])}
    tokenizer = INDEX if f"model/{INDEX}" in about["files"] else "tokenizer.json"
    return {"decision.json", "model/config.json", f"model/{tokenizer}"}


def _digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's own content."""
    content = jsonable({name: value for name, value in manifest.items() if name != "digest"})
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
