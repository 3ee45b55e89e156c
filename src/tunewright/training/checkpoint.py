"""Checkpoints: everything that decides how a run goes on, in safetensors and JSON, written whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tunewright.core.errors import MachineError
from tunewright.core.files import read_json, sha256, write_json, writing_folder
from tunewright.kernels.library import about
from tunewright.models.model import Model
from tunewright.training.averaging import Average
from tunewright.training.update import Update

# What to do where a checkpoint's steps were computed in another way than they would be here.
FORMS = {
    "one pass": "This run was trained with compiled kernels, and here they are missing ({}). Go on where they are to be had, "
    "or start a new run without --resume.",
    "torch": "This run was trained without compiled kernels, and here they are ({}). Set TUNEWRIGHT_KERNELS=off to go on "
    "in the same way, or start a new run without --resume.",
}
KEEP = 2  # a damaged newest one leaves the one before it


def save(folder: Path, step: int, model: Model, update: Update, average: Average, state: Mapping[str, Any]) -> Path:
    """Write checkpoint `step` under `folder`: trained weights, their average, update and random state, `state`."""
    path = folder / f"step-{step:08d}"
    with writing_folder(path) as temporary:
        save_file(_weights(model), temporary / "weights.safetensors")
        if averages := average.tensors():
            save_file(averages, temporary / "average.safetensors")
        tensors, plain = _flatten(update.state_dict())
        tensors["random"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random_cuda"] = torch.cuda.get_rng_state()
        save_file(tensors, temporary / "optimizer.safetensors")
        write_json(temporary / "state.json", {"form": update.form, "optimizer": plain, **state})
        files = sorted(file.name for file in temporary.iterdir())
        write_json(temporary / "manifest.json", {name: sha256(temporary / name) for name in files})
    prune(folder)
    return path


def prune(folder: Path) -> None:
    """Remove all but the newest checkpoints, and what is left of one whose removal was interrupted."""
    for old in sorted(folder.glob("step-*"))[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)


def newest(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint under `folder` (None when there is none), and what was wrong with newer ones."""
    problems = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        problem = _problem(path)
        if problem is None:
            return path, problems
        problems.append(f"The checkpoint {path.name} is damaged ({problem}); the one before it is used.")
    return None, problems


def load(path: Path, model: Model, update: Update, average: Average) -> dict[str, Any]:
    """Put a checkpoint back into model, average, update and random generators; returns the state saved with it.

    Raises MachineError when the steps were computed in a way that is not to be had here, and nothing is changed then.
    """
    state = read_json(path / "state.json")
    if (form := state.pop("form")) != update.form:
        raise MachineError(FORMS[form].format(about()))
    put_weights(model, load_file(path / "weights.safetensors"))
    if (path / "average.safetensors").exists():
        average.load(load_file(path / "average.safetensors"))
    tensors = load_file(path / "optimizer.safetensors")
    torch.set_rng_state(tensors.pop("random"))
    if (cuda := tensors.pop("random_cuda", None)) is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(cuda)
    update.load_state_dict(_unflatten(tensors, state.pop("optimizer")))
    return state


def save_weights(path: Path, model: Model) -> None:
    """Write the trained weights alone, as the best so far."""
    with writing_folder(path) as temporary:
        save_file(_weights(model), temporary / "weights.safetensors")


def load_weights(path: Path, model: Model) -> None:
    """Put back what save_weights wrote."""
    put_weights(model, read_weights(path))


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """What save_weights wrote, by name."""
    return load_file(path / "weights.safetensors")


@torch.no_grad()
def put_weights(model: Model, tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy tensors to where the model has the same names."""
    for name, own in model.changing().items():
        own.copy_(tensors[name])


def _weights(model: Model) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in model.changing().items()}


def _problem(path: Path) -> str | None:
    try:
        manifest = read_json(path / "manifest.json")
        changed = [name for name, digest in manifest.items() if sha256(path / name) != digest]
    except (OSError, ValueError, AttributeError, SafetensorError):
        return "a file is missing or cut off"
    return f"{changed[0]} is not what was written" if changed else None


def _flatten(state: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimizer's state as named tensors and plain JSON."""
    tensors, plain = {}, {"param_groups": state["param_groups"], "state": {}}
    for index, values in state["state"].items():
        rest = plain["state"][str(index)] = {}
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                rest[name] = value
    return tensors, plain


def _unflatten(tensors: Mapping[str, torch.Tensor], plain: Mapping[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {int(index): dict(rest) for index, rest in plain["state"].items()}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    groups = [{k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in plain["param_groups"]]
    return {"state": state, "param_groups": groups}
