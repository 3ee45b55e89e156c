"""Prove that plain `transformers` gives the same answers from a saved model, row by row, for answers per text and per token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tunewright.core import gate
from tunewright.core.contracts import Head, Task
from tunewright.core.errors import plural
from tunewright.core.gate import Check, Gate
from tunewright.core.types import Note, Policy
from tunewright.models import beside, members
from tunewright.models.backbone import quiet
from tunewright.models.batches import in_batches
from tunewright.models.processor import Processor
from tunewright.predict.infer import Inferred
from tunewright.stages import parity

TOLERANCE = 1e-3  # largest difference of a probability that counts as the same
TIE = 1e-5  # of two probabilities that are the same up to their last digits
ROWS = 256  # of answers per token that are held against each other at a time
AT_A_TIME = 20_000_000  # logits that are held against each other at a time: 80 MB on either side


def certify(
    bundle: Path, items: Iterable[Inferred], processor: Processor, task: Task, head: Head, labels: Sequence[str]
) -> Gate:
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
    models = [_plain(folder, head, processor.pad_id) for folder in folders]
    same = partial(_same, rows=len(rows), columns=bool(task.beside.columns))
    held = _texts(rows, models, task, same) if head.pools else _tokens(rows, models, task, labels, same)
    limits = {"truncation": True, "max_length": processor.max_tokens}
    retokenized = 0
    for item in rows:  # each by itself: of several tasks, one may read two texts and another one
        ids = tokenizer(*map(str, item.example.inputs.values()), **limits)["input_ids"]
        retokenized += list(ids) != item.windows[0].features["input_ids"].tolist()
    again = gate.check("rows tokenized otherwise", retokenized, "==", 0, same("token ids", "词元编号"))
    return Gate("transformers", (*held, again))


Plain = Callable[[Sequence[Inferred]], list[np.ndarray]]


def _texts(rows: Sequence[Inferred], models: Sequence[Plain], task: Task, same: Callable[..., Note]) -> list[Check]:
    """Of one answer a text: flipped rows, and the largest difference of a probability."""
    flips, difference = 0, 0.0
    step = max(1, AT_A_TIME // rows[0].logits.size)
    for part in (rows[start : start + step] for start in range(0, len(rows), step)):
        outputs = np.mean([np.stack(model(part)) for model in models], axis=0)
        expected = np.stack([item.logits for item in part])
        if task.classes:
            outputs, expected = (_probabilities(logits, task.multi_label) for logits in (outputs, expected))
            flips += _flips(outputs, expected, task)
        difference = max(difference, float(np.abs(outputs - expected).max()))
    return [
        gate.check("flipped rows", int(flips), "==", 0, same("answers", "答案")),
        gate.check("largest score difference", difference, "<=", TOLERANCE, same("scores", "分数")),
    ]


def _tokens(
    rows: Sequence[Inferred], models: Sequence[Plain], task: Task, labels: Sequence[str], same: Callable[..., Note]
) -> list[Check]:
    """Of answers per token: rows whose decoded answer flips, and the largest difference of a logit."""
    flips, difference = 0, 0.0
    for part in (rows[start : start + ROWS] for start in range(0, len(rows), ROWS)):
        for item, *said in zip(part, *(model(part) for model in models), strict=True):
            outputs = np.mean(said, axis=0)
            far = parity.apart(item.logits, outputs)
            values = [task.decode(one, item.windows, labels, Policy()).value for one in (item.logits, outputs)]
            flips += values[0] != values[1] and far > parity.TIE
            difference = max(difference, far)
    return [
        gate.check("flipped rows", flips, "==", 0, same("answers", "答案")),
        gate.check("largest logit difference", difference, "<=", parity.SAME, same("logits", "logits ")),
    ]


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


def _plain(folder: Path, head: Head, pad_id: int) -> Plain:
    """What plain `transformers` makes of rows: (outputs,) each, or (tokens, outputs)."""
    import torch
    import transformers

    from tunewright.models.layout import outputs_of

    with quiet():
        model = getattr(transformers, head.transformers_class).from_pretrained(folder, local_files_only=True).eval()
    weight = beside.weight_of(folder)

    @torch.inference_mode()
    def compute(batch: dict[str, np.ndarray]) -> np.ndarray:
        return outputs_of(model(**{name: torch.from_numpy(value) for name, value in batch.items()})).numpy()

    def run(rows: Sequence[Inferred]) -> list[np.ndarray]:
        windows = [item.windows[0].features for item in rows]
        found = in_batches(compute, windows, pad_id)
        # Plain transformers knows the text alone: the rest is added as every runtime adds it.
        return found if weight is None else beside.added(found, windows, weight)

    return run


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
