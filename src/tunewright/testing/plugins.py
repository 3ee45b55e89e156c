"""Pretend that a package with a plug-in is installed: for tests of plug-ins, without pip and without a network."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tunewright.core import catalog


@contextlib.contextmanager
def pretend_installed(folder: Path | str, kind: str, name: str, source: str, *, target: str = "") -> Iterator[str]:
    """Inside, the catalog finds the component `name` of `kind`, whose file holds `source`; gives its module's name.

    folder: where the pretended package is written; target: what the entry point names when it is not the module.
    """
    folder = Path(folder)
    module = f"made_up_{folder.name.replace('-', '_')}.{name.replace('-', '_')}"
    package, file = module.split(".")
    (folder / package).mkdir(parents=True, exist_ok=True)
    (folder / package / "__init__.py").touch()
    (folder / package / f"{file}.py").write_text(source, encoding="utf-8")
    described = folder / f"{package}-1.0.dist-info"
    described.mkdir(exist_ok=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    entry = f"[tunewright.{kind}]\n{name} = {target or module}\n"
    (described / "entry_points.txt").write_text(entry, encoding="utf-8")
    sys.path.insert(0, str(folder))
    _look_again()
    try:
        yield module
    finally:
        sys.path.remove(str(folder))
        for loaded in [known for known in sys.modules if known == package or known.startswith(f"{package}.")]:
            del sys.modules[loaded]
        _look_again()


def _look_again() -> None:
    importlib.invalidate_caches()
    catalog.refresh()
