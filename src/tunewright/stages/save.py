"""Write a bundle: weights, tokenizer, what validation looked like, and the manifest with all hashes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewright.core.bundle import seal
from tunewright.core.contracts import Task
from tunewright.core.files import read_json, write_json, write_text
from tunewright.core.recipe_file import to_yaml
from tunewright.core.types import Policy, Prediction
from tunewright.models import beside
from tunewright.models.layout import save_model
from tunewright.models.locate import Located
from tunewright.models.model import Model
from tunewright.models.sentence import save_encoder
from tunewright.monitor import reference
from tunewright.predict.infer import Inferred
from tunewright.stages.assemble import Plan
from tunewright.stages.judge import Calibrated

ADAPTER = """# An adapter for {base}

What training added to the backbone `{base}`, alone and in {form}, from a bundle of Tunewright. In `../model` it is
{place}, with the head and the tokenizer: open that to get answers. The model card is `../README.md`.
"""


def write_model(model: Model, plan: Plan, folder: Path) -> None:
    """Merge the method's adapter (kept beside it) and write weights and tokenizer under `folder`/model."""
    method = plan.recipe.train.method
    (folder / "adapter").mkdir(parents=True)
    if method.save_adapter(model, folder / "adapter"):
        _describe_adapter(folder / "adapter", plan.located, merged=method.mergeable)
    else:
        (folder / "adapter").rmdir()
    merged = method.merge(model).to("cpu")
    multi_label = plan.recipe.task.multi_label
    save_model(merged, folder / "model", multi_label=multi_label, inserted=None if method.mergeable else method)
    plan.processor.save(folder / "model")
    if plan.recipe.task.retrieves and is_transformers(folder / "model"):
        save_encoder(folder / "model", plan.processor, folder / "encoder")
    if merged.beside is not None:
        beside.save(merged.beside.detach().numpy(), folder / "model")


def _describe_adapter(adapter: Path, located: Located, *, merged: bool) -> None:
    """Say whose adapter it is. PEFT itself writes the folder that the backbone was opened from, and a form to fill in."""
    name = Path(located.name).name if Path(located.name).is_absolute() else located.name
    base = located.facts.hub_id or name
    config = read_json(adapter / "adapter_config.json")
    write_json(adapter / "adapter_config.json", {**config, "base_model_name_or_path": base})
    form = "PEFT's format" if "peft_type" in config else "Tunewright's own form"
    place = "merged into the backbone" if merged else "inserted into the backbone"
    write_text(adapter / "README.md", ADAPTER.format(base=base, form=form, place=place))


def fold_calibration(model: Model, calibrated: Calibrated) -> None:
    """Fold the affine calibration into the head's linear map, so that every runtime gives calibrated scores."""
    import torch

    output = model.head.output
    scale = torch.as_tensor(calibrated.scale, dtype=torch.float32, device=output.weight.device)
    shift = torch.as_tensor(calibrated.shift, dtype=torch.float32, device=output.weight.device)
    with torch.no_grad():
        output.weight.mul_(scale.reshape(-1, 1) if scale.ndim else scale)
        output.bias.mul_(scale).add_(shift)
        if model.beside is not None:
            model.beside.mul_(scale.reshape(-1, 1) if scale.ndim else scale)


def seal_bundle(
    folder: Path, plan: Plan, labels: Sequence[str], policy: Policy, decision: dict[str, Any], **about: Any
) -> None:
    """Write recipe, decision and, last, the manifest with all hashes."""
    write_text(folder / "recipe.yaml", to_yaml(plan.recipe))
    write_json(folder / "decision.json", decision)
    seal(folder, task=plan.recipe.task, labels=labels, policy=policy, backbone=plan.recipe.model.backbone, **about)


def write_reference(folder: Path, answered: Sequence[tuple[Inferred, Prediction]], task: Task, language: str) -> None:
    """What is usual of answers to rows that were not trained on, without any text: what a monitor compares traffic with.

    language: ISO 639-1 code of the data.
    """
    usual = reference.learn(task, answered) if answered else None
    write_json(folder / reference.FILE, {"language": language, **(usual.to_dict() if usual else {"rows": 0})})


def is_transformers(folder: Path) -> bool:
    """Whether the saved model opens with plain transformers."""
    return read_json(folder / "config.json")["tunewright"].get("transformers", True)
