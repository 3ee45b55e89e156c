"""Write a bundle, and prove that plain `transformers` gives the same answers from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import gate
from tunewright.core.bundle import seal
from tunewright.core.contracts import Task
from tunewright.core.errors import plural
from tunewright.core.files import read_json, write_json, write_text
from tunewright.core.gate import Gate
from tunewright.core.recipe_file import to_yaml
from tunewright.core.types import Note, Policy, Prediction
from tunewright.models import beside, members
from tunewright.models.backbone import quiet
from tunewright.models.batches import length_batches, padded
from tunewright.models.layout import save_model
from tunewright.models.locate import Located
from tunewright.models.model import Model
from tunewright.models.processor import Processor
from tunewright.models.sentence import save_encoder
from tunewright.monitor import reference
from tunewright.predict.infer import Inferred
from tunewright.stages.assemble import Plan
from tunewright.stages.judge import Calibrated

TOLERANCE = 1e-3  # largest difference of a probability that counts as the same
TIE = 1e-5  # of two probabilities that are the same up to their last digits
BATCH_TOKENS = 8192
AT_A_TIME = 20_000_000  # logits that are held against each other at a time: 80 MB on either side
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


def certify(bundle: Path, items: Iterable[Inferred], processor: Processor, task: Task) -> Gate:
    """Run plain `transformers` on what is saved in a bundle, row by row, against the logits that were evaluated; where
    several models vote, on each, and take the mean of their logits.

    Checks: rows whose answer flips (0), the largest difference of a probability, and rows whose token ids differ.
    """
    from transformers import AutoTokenizer

    rows = [item for item in items if len(item.windows) == 1]
    if not rows:  # every text has several windows, which plain transformers cannot join
        return Gate("transformers", ())
    folders = [folder / "model" for folder in members.folders(bundle)]
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folders[0], local_files_only=True)
    models = [_plain(folder, processor.pad_id) for folder in folders]
    flips, difference = 0, 0.0
    step = max(1, AT_A_TIME // rows[0].logits.size)
    for part in (rows[start : start + step] for start in range(0, len(rows), step)):
        outputs = np.mean([model(part) for model in models], axis=0)
        expected = np.stack([item.logits for item in part])
        if task.classes:
            outputs, expected = (_probabilities(logits, task.multi_label) for logits in (outputs, expected))
            flips += _flips(outputs, expected, task)
        difference = max(difference, float(np.abs(outputs - expected).max()))
    texts = [list(map(str, column)) for column in zip(*(item.example.inputs.values() for item in rows), strict=True)]
    ids = tokenizer(*texts, truncation=True, max_length=processor.max_tokens)["input_ids"]
    retokenized = sum(
        list(found) != item.windows[0].features["input_ids"].tolist() for found, item in zip(ids, rows, strict=True)
    )
    same = partial(_same, rows=len(rows), columns=bool(task.beside.columns))
    return Gate(
        "transformers",
        (
            gate.check("flipped rows", int(flips), "==", 0, same("answers", "答案")),
            gate.check("largest score difference", difference, "<=", TOLERANCE, same("scores", "分数")),
            gate.check("rows tokenized otherwise", retokenized, "==", 0, same("token ids", "词元编号")),
        ),
    )


def _same(what: str, what_zh: str, *, rows: int, columns: bool) -> Note:
    en, zh = (
        ("", "")
        if not columns
        else (", once the columns' part is added to its logits", "（其 logits 加上各列的部分之后）")
    )
    return Note(
        f"The same {what} in plain transformers, on {plural(rows, 'row')}{en}.",
        f"直接用 transformers 得到的{what_zh}{zh}在 {rows} 条数据上都相同。",
    )


def seal_bundle(
    folder: Path, plan: Plan, labels: Sequence[str], policy: Policy, decision: dict[str, Any], **about: Any
) -> None:
    """Write recipe, decision and, last, the manifest with all hashes."""
    write_text(folder / "recipe.yaml", to_yaml(plan.recipe))
    write_json(folder / "decision.json", decision)
    seal(folder, task=plan.recipe.task, labels=labels, policy=policy, backbone=plan.recipe.model.backbone, **about)


def write_reference(folder: Path, answered: Sequence[tuple[Inferred, Prediction]], task: Task, language: str) -> None:
    """What is usual of answers to validation rows, without any text: what a monitor compares traffic with.

    language: ISO 639-1 code of the data.
    """
    usual = reference.learn(task, answered) if answered else None
    write_json(folder / reference.FILE, {"language": language, **(usual.to_dict() if usual else {"rows": 0})})


def is_transformers(folder: Path) -> bool:
    """Whether the saved model opens with plain transformers."""
    return read_json(folder / "config.json")["tunewright"].get("transformers", True)


def _plain(folder: Path, pad_id: int) -> Callable[[Sequence[Inferred]], np.ndarray]:
    """What plain `transformers` makes of rows, (rows, outputs)."""
    from transformers import AutoModelForSequenceClassification

    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    weight = beside.weight_of(folder)

    def run(rows: Sequence[Inferred]) -> np.ndarray:
        outputs = _outputs(model, rows, pad_id)
        if weight is None:
            return outputs
        # Plain transformers knows the text alone: the rest is added as every runtime adds it.
        return np.stack(beside.added(outputs, [item.windows[0].features for item in rows], weight))

    return run


def _outputs(model: Any, rows: Sequence[Inferred], pad_id: int) -> np.ndarray:
    import torch

    windows = [item.windows[0].features for item in rows]
    found: list[np.ndarray] = [None] * len(rows)  # type: ignore[list-item]
    lengths = np.array([len(window["input_ids"]) for window in windows])
    with torch.inference_mode():
        for indices in length_batches(lengths, BATCH_TOKENS):
            batch = padded([windows[i] for i in indices], pad_id)
            logits = model(**{name: torch.from_numpy(value) for name, value in batch.items()}).logits.numpy()
            for row, index in enumerate(indices):
                found[index] = logits[row]
    return np.stack(found)


def _probabilities(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    from tunewright.core.numeric import sigmoid, softmax

    return sigmoid(logits) if multi_label else softmax(logits)


def _flips(outputs: np.ndarray, expected: np.ndarray, task: Task) -> int:
    """Answers that differ. Of documents that the tokenizer reads alike, as in another case, either is the same answer."""
    if task.retrieves:
        said = expected[np.arange(len(expected)), outputs.argmax(axis=1)]
        return int(np.sum(expected.max(axis=1) - said > TIE))
    return int(np.sum(_answers(outputs, task.multi_label) != _answers(expected, task.multi_label)))


def _answers(probabilities: np.ndarray, multi_label: bool) -> np.ndarray:
    return probabilities > 0.5 if multi_label else probabilities.argmax(axis=1)
