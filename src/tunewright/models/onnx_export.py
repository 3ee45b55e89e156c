"""Write a saved model as ONNX, in fp32; what is written is checked against PyTorch right there."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from tunewright.core.errors import MachineError, ModelError
from tunewright.core.memory import give_back
from tunewright.models import surgery
from tunewright.models.batches import Features, padded
from tunewright.models.inference import outputs
from tunewright.models.layout import load_model
from tunewright.models.model import Model
from tunewright.models.onnx import open_onnx
from tunewright.models.processor import Processor

OPSET = 17  # the first with layer normalisation as one step
ALIKE = 1e-3  # what logits may differ by from PyTorch's, and what share of themselves
TRACED = (8, 5)  # lengths of the texts that the network is traced on
TRIALS = ((13, 4, 1), (70, 33))  # and of those it is checked on: other shapes, padding in each


_last: dict[str, tuple[Path, tempfile.TemporaryDirectory]] = {}  # what `exported` keeps: digest → file, and its folder


def exported(saved: Path, digest: str) -> Path:
    """The model in the folder `saved`, whose content has this digest, as an fp32 ONNX file.

    The last one is kept until another is asked for or the process ends: tracing a large network takes a minute, and several
    runtimes are tried on it. Raises ModelError where it cannot be written so that it computes the same, MachineError where
    a package is missing.
    """
    if digest not in _last:
        forget()
        scratch = tempfile.TemporaryDirectory(prefix="tunewright-")
        try:
            _last[digest] = _export(saved, Path(scratch.name)), scratch
        except BaseException:
            scratch.cleanup()
            raise
    return _last[digest][0]


@atexit.register
def forget() -> None:
    """Take away the file that is kept."""
    for _, scratch in _last.values():
        scratch.cleanup()
    _last.clear()


def _export(saved: Path, scratch: Path) -> Path:
    model, processor = load_model(saved), Processor.load(saved)
    with explained(saved):
        plain, fused = scratch / "plain.onnx", scratch / "fused.onnx"
        _trace(model, padded(_texts(model, processor, TRACED), processor.pad_id), plain)
        give_back()  # each step holds the weights several times over, and leaves them to the collector
        if not _agrees(plain, model, processor):
            raise ModelError("its logits there are not those of PyTorch.")
        if not _fuse(model, processor, plain, fused):
            return plain
        plain.unlink()
    give_back()
    return fused


def _texts(model: Model, processor: Processor, lengths: Sequence[int]) -> list[Features]:
    """Windows of these lengths, or as long as the model allows, of random pieces; the same at every call."""
    random = np.random.default_rng(0)
    pieces = np.setdiff1d(np.arange(surgery.word_embeddings(model.backbone).num_embeddings), [processor.pad_id])
    found = []
    for length in (min(length, processor.max_tokens) for length in lengths):
        text = {"input_ids": random.choice(pieces, length), "attention_mask": np.ones(length, dtype=np.int64)}
        kinds = {"token_type_ids": random.integers(0, 2, length)} if processor.type_ids else {}
        found.append({**text, **kinds})
    return found


def _trace(model: Model, batch: Features, file: Path) -> None:
    names = list(batch)
    features = {name: torch.from_numpy(value) for name, value in batch.items()}
    axes = {name: {0: "batch", 1: "tokens"} for name in names}
    with torch.inference_mode():
        per_token = model(features).ndim == 3
    with _muted():
        torch.onnx.export(
            model,
            (features, {}),  # a mapping at the end would be taken for keywords
            str(file),
            dynamo=False,
            input_names=names,
            output_names=["logits"],
            dynamic_axes={**axes, "logits": {0: "batch", 1: "tokens"} if per_token else {0: "batch"}},
            opset_version=OPSET,
        )


def _agrees(file: Path, model: Model, processor: Processor) -> bool:
    """Whether the file's logits are those of PyTorch."""
    run = open_onnx(file, processor.pad_id)
    for lengths in TRIALS:
        texts = _texts(model, processor, lengths)
        expected = outputs(model, texts, pad_id=processor.pad_id)
        if not all(np.allclose(*pair, rtol=ALIKE, atol=ALIKE) for pair in zip(run(texts), expected, strict=True)):
            return False
    return True


def _fuse(model: Model, processor: Processor, plain: Path, fused: Path) -> bool:
    """Join steps of a transformer into single ones; whether that could be done and computes the same."""
    from onnxruntime.transformers.optimizer import optimize_model

    heads = getattr(model.backbone.config, "num_attention_heads", None)
    if heads is None:  # no transformer
        return False
    try:
        width = surgery.hidden_size(model.backbone)
        optimize_model(str(plain), "bert", num_heads=heads, hidden_size=width).save_model_to_file(str(fused))
        give_back()
        return _agrees(fused, model, processor)
    except Exception:  # it is made for graphs that it knows, and fails in many ways on others
        return False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries from logging and warning."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Keep compiled code from writing on standard output, as PyTorch's exporter does with the graph that it fails at."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn whatever the libraries raise into one message that names the model, and keep them from writing."""
    try:
        with _quiet():
            yield
    except (MachineError, MemoryError, OSError):
        raise
    except ImportError as error:
        raise MachineError(f"Writing ONNX needs a package ({error.name}): pip install 'tunewright[onnx]'.") from None
    except Exception as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(f"The model in {folder} cannot be written as ONNX: {said}") from error
