"""The errors a user can meet: one clear message with what to do, and the exit code it ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TunewrightError(Exception):
    """Anything the user can mend. The command line prints the message alone and ends with `exit_code`."""

    exit_code = 3


class UsageError(TunewrightError):
    """A command or a call was used wrongly."""


class RecipeError(TunewrightError):
    """A recipe does not parse, or says something that cannot be done."""


class DataError(TunewrightError):
    """The data cannot be read or used as the recipe says."""


class LabelError(DataError):
    """A label is not what the task or the recipe expects."""


class ModelError(TunewrightError):
    """A backbone cannot be found, opened or trusted."""


class BundleError(TunewrightError):
    """A folder is no bundle, or was changed after it was saved."""


class TrainingError(TunewrightError):
    """Training cannot go on: a loss that is not a number, no memory left, a broken checkpoint."""


class MachineError(TunewrightError):
    """The machine refuses: no space left, no permission, a package that is not installed."""


class DamagedFile(MachineError, ValueError):
    """A file that this program wrote is not what it wrote."""


class Refused(TunewrightError):
    """A gate said no: nothing is wrong with the input's form, but the recipe forbids to go on."""

    exit_code = 2


def nearest(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the entry of `known` most like `word`, or "" when nothing is near."""
    known = [str(entry) for entry in known]
    folded = {entry.lower(): entry for entry in reversed(known)}
    match = difflib.get_close_matches(str(word).lower(), folded, n=1, cutoff=0.6)
    return f" Did you mean {folded[match[0]]!r}?" if match else ""


def plural(count: int, noun: str) -> str:
    """A number with its noun: "1 row", "2,000 rows"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listing(names: Iterable[str], most: int = 12) -> str:
    """Join names for a message, at most `most` of them: "a, b, c and 7 more"."""
    names = [str(name) for name in names]
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
