"""Compile the kernels for this very machine at their first use, and keep them; do without where no compiler is.

Nothing here decides a result: `models/fused.py` has the same steps in PyTorch. Set TUNEWRIGHT_KERNELS=off to use those.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import stat
import subprocess
from pathlib import Path

from tunewright.core import files
from tunewright.core.cache import cache_folder
from tunewright.core.errors import MachineError

FOLDER = Path(__file__).parent
SOURCES = ("kernels.cpp", "encoder.cpp", "update.cpp")
HEADERS = ("vectors.h", "products.h", "attention.h", "tiles.h")
SWITCH = "TUNEWRIGHT_KERNELS"  # one of these leaves the kernels out
OFF = ("off", "0", "no")
COMPILERS = ("g++", "c++", "clang++")  # tried in this order, after $CXX
# No fast-math: what is not a number must stay so, and sums keep their order.
FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-fopenmp", "-fno-math-errno", "-fno-trapping-math")
COMPILING_SECONDS = 120  # it takes about five
ADDRESS, WHOLE, REAL = ctypes.c_void_p, ctypes.c_int, ctypes.c_float
# Arguments of every kernel, as kernels.cpp declares them; each exists for f32 and bf16.
KERNELS = {
    "attention_forward": (*(ADDRESS,) * 4, *(WHOLE,) * 4),
    "attention_backward": (*(ADDRESS,) * 6, *(WHOLE,) * 4),
    "norm_forward": (*(ADDRESS,) * 7, WHOLE, WHOLE, REAL, WHOLE),
    "norm_backward": (*(ADDRESS,) * 7, *(WHOLE,) * 3),
    "sum_rows": (*(ADDRESS,) * 2, *(WHOLE,) * 3),
}
FORMS = ("f32", "bf16")
# Arguments and result of the functions that have one form only: of encoder.cpp, then of update.cpp.
SINGLE = {
    "encode": ((*(ADDRESS,) * 4, WHOLE, WHOLE, ADDRESS, WHOLE), None),
    "gradient_square": ((ADDRESS, WHOLE, WHOLE), ctypes.c_double),
    "update_weights": ((ADDRESS, WHOLE, ADDRESS, WHOLE), None),
    "update_rows": ((ADDRESS, ADDRESS, WHOLE), None),
}


def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where they cannot be had; `about` says why."""
    return _library()[0]


def missing() -> bool:
    """Whether asking for the kernels will take the seconds of compiling them."""
    compiler = _compiler()
    return compiler is not None and not _target(compiler).exists()


def about() -> str:
    """In a few words what computes: "compiled 1f9c33a0" with the kernels' digest, or "none: " and the reason."""
    return _library()[1]


@functools.cache
def _library() -> tuple[ctypes.CDLL | None, str]:
    if os.environ.get(SWITCH, "").lower() in OFF:
        return None, f"none: {SWITCH} is off"
    compiler = _compiler()
    if compiler is None:
        return None, "none: this machine has no C++ compiler (g++)"
    try:
        target = _target(compiler)
        if not target.exists():
            _compile(compiler, target)
        return _opened(target), f"compiled {target.stem[:8]}"
    except (OSError, MachineError, subprocess.SubprocessError) as error:
        return None, f"none: {' '.join(str(error).split())[:200]}"


def _compiler() -> str | None:
    """The compiler for the kernels; None as well where they are switched off."""
    return None if os.environ.get(SWITCH, "").lower() in OFF else compiler()


def compiler() -> str | None:
    """The first of the C++ compilers that this machine has, as a path."""
    found = (shutil.which(name) for name in (os.environ.get("CXX"), *COMPILERS) if name)
    return next((path for path in found if path), None)


def _target(compiler: str) -> Path:
    return cache_folder() / "kernels" / f"{_digest(compiler)}.so"


@functools.cache
def _digest(compiler: str) -> str:
    """Of all that decides what the compiler makes: sources, flags, compiler and processor."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=COMPILING_SECONDS).stdout
    parts = [*FLAGS, version, platform.machine(), _processor()]
    parts += [(FOLDER / name).read_text("utf-8") for name in (*HEADERS, *SOURCES)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(("model name", "flags", "Features"))))


def _compile(compiler: str, target: Path) -> None:
    """Write the shared library to `target`, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    native = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
    with files.writing(target) as temporary:
        sources = [str(FOLDER / name) for name in SOURCES]
        command = [compiler, *FLAGS, native, *sources, "-o", str(temporary)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=COMPILING_SECONDS)
        if result.returncode:
            raise MachineError(f"{compiler} failed: {result.stderr}")


def _opened(path: Path) -> ctypes.CDLL:
    """Open what was compiled, if nobody but this user could have put it there."""
    state = path.stat()
    if state.st_uid not in (os.getuid(), 0) or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise MachineError(f"{path} could have been written by others")
    kernels = ctypes.CDLL(str(path))
    for name, arguments in KERNELS.items():
        for form in FORMS:
            kernel = getattr(kernels, f"{name}_{form}")
            kernel.argtypes, kernel.restype = arguments, None
    for name, (arguments, result) in SINGLE.items():
        function = getattr(kernels, name)
        function.argtypes, function.restype = arguments, result
    return kernels
