"""Device, precision and threads: chosen by what the machine can do, and by measuring it."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from tunewright.core.errors import MachineError
from tunewright.core.types import Note
from tunewright.kernels.library import compiler
from tunewright.models.inference import has_bf16

MARGIN = 1.1  # bf16 must be at least this much faster to be worth its rounding
CLEAR = 1.3  # a ratio this many times beyond that needs no second look


def choose_device(wanted: str) -> str:
    """ "cpu", "cuda" or "mps" for "auto" or a wanted one. Raises MachineError when the wanted one is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[wanted]:
        raise MachineError(f"train.device is {wanted}, but this machine has none that torch can use. Try device: auto.")
    return wanted


def check_engine(wanted: str, device: str) -> None:
    """Raise MachineError where `train.engine: compiled` cannot compile."""
    if wanted == "compiled" and device == "cpu" and compiler() is None:
        raise MachineError(
            "train.engine is compiled, and for a CPU torch needs a C++ compiler, which this machine does not have. "
            "Install g++, or set engine: auto."
        )


def choose_threads(wanted: int | str) -> int:
    """Threads for computing: the cores this process may use, or the wanted number."""
    return len(os.sched_getaffinity(0)) if wanted == "auto" else int(wanted)


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with `count` threads inside, and with as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_precision(wanted: str, device: str, one_step: Callable[[], None]) -> tuple[str, Note]:
    """("fp32" | "bf16" | "fp16", why). `one_step` runs a forward and backward pass without changing any weight."""
    if wanted != "auto":
        return wanted, Note("as the recipe says", "按配方所写")
    if device == "cuda":
        if has_bf16(device):
            return "bf16", Note("the GPU has bf16", "显卡支持 bf16")
        return "fp16", Note("the GPU has no bf16", "显卡不支持 bf16")
    if not has_bf16(device):
        return "fp32", Note(f"the {device} has no bf16 instructions", f"{device} 没有 bf16 指令")
    ratio = _times_as_fast(one_step, device)
    chosen = "bf16" if ratio >= MARGIN else "fp32"
    return chosen, Note(
        f"measured: a step in bf16 is {ratio:.1f} times as fast as in fp32",
        f"实测：用 bf16 训练一步的速度是 fp32 的 {ratio:.1f} 倍",
    )


def autocast(device: str, precision: str) -> contextlib.AbstractContextManager:
    """The context in which a forward pass computes in `precision`."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device, dtype=torch.bfloat16 if precision == "bf16" else torch.float16)


def _times_as_fast(step: Callable[[], None], device: str) -> float:
    """Steps in bf16 that take the time of one in fp32: one pair is enough where it leaves no doubt, else three."""
    found: list[float] = []
    for _ in range(4):
        found.append(_seconds(step, device, "fp32") / _seconds(step, device, "bf16"))
        if len(found) == 2 and not MARGIN / CLEAR < found[1] < MARGIN * CLEAR:
            break
    return statistics.median(found[1:])  # the first pair warms up


def _seconds(step: Callable[[], None], device: str, precision: str) -> float:
    started = time.perf_counter()
    with autocast(device, precision):
        step()
    return time.perf_counter() - started
