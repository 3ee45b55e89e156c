"""What verbs share: the one JSON object on standard output, progress for people, options that many take."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import Any

import typer

from tunewright.core.files import jsonable
from tunewright.core.progress import Progress, Silent, Terminal

JSON = typer.Option(False, "--json", help="Print one JSON object, alone, on standard output.")
SET = typer.Option(None, "--set", metavar="KEY=VALUE", help="Override a recipe key, as --set train.epochs=3. May be repeated.")
QUIET = typer.Option(False, "--quiet", "-q", help="No progress, only the result.")


def emit(value: Any) -> None:
    """Print `value` as one JSON object; lone surrogates, as in a broken file name, become JSON's escapes."""
    print(json.dumps(jsonable(value), ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8"))


def say(message: str = "") -> None:
    """Print a line for people."""
    print(message, file=sys.stderr)


def progress(quiet: bool) -> Progress:
    """Progress on standard error, or none."""
    quiet_environment()
    return Silent() if quiet else Terminal()


def quiet_environment() -> None:
    """Keep libraries from writing their own messages between ours."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def command_line() -> str:
    """The command as it was given, to repeat it."""
    return shlex.join(["tunewright", *sys.argv[1:]])


def percent(value: float) -> str:
    """0.9571 → "95.7 %"."""
    return f"{100 * value:.1f} %"
