"""A data set of the Hugging Face hub, by its id (needs the extra `datasets` and a network, or a cached copy)."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tunewright.core.contracts import Reader, Row
from tunewright.core.errors import DataError, MachineError
from tunewright.data import arrowrows

_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(?:@(?:train|validation|test|[\w.]+))?$")
_FILE = re.compile(
    r"\.(csv|tsv|tab|txt|jsonl?|ndjson|jl|parquet|pq|conll|bio|iob2?|xlsx?|zip|gz|arrow|ya?ml|md)$", re.IGNORECASE
)


@dataclass(frozen=True)
class Hub(Reader):
    """Rows of a hub data set: "name/repo" is its split train, "name/repo@test" another."""

    config: str | None = None  # the data set's configuration, where it has several
    revision: str | None = None  # branch, tag or commit; pin one to read the same rows for ever
    timeout: Annotated[float, Field(gt=0)] = 10.0  # seconds to wait for the hub before giving up

    suffixes: ClassVar[tuple[str, ...]] = ()

    def recognises(self, source: str) -> bool:
        """See Reader.recognises. What looks like a file, or begins with an existing folder, is no id."""
        if os.path.exists(source) or not _ID.match(source) or _FILE.search(source.partition("@")[0]):
            return False
        return not Path(source).parent.is_dir()

    def read(self, source: str) -> Iterator[Row]:
        """See Reader.read. A row's line is its number, from 1."""
        table = self._load(source)
        line = 0
        for batch in table.to_batches(max_chunksize=8192):
            for values in arrowrows.rows(batch, arrowrows.features(table.schema)):
                line += 1
                yield Row(line, values)

    def describe(self, source: str) -> dict[str, Any]:
        """See Reader.describe."""
        name, _, split = source.partition("@")
        found = {"columns": list(self._load(source).schema.names)}
        if not split:
            found["splits"] = {split: f"{name}@{split}" for split in self._split_names(name)}
        return found

    def _load(self, source: str) -> Any:
        name, _, split = source.partition("@")
        datasets = _package()
        self._reach(name)
        return _ask(
            lambda: datasets.load_dataset(name, self.config, split=split or "train", revision=self.revision).data.table,
            name,
        )

    def _split_names(self, name: str) -> list[str]:
        datasets = _package()
        names = _ask(lambda: datasets.get_dataset_split_names(name, self.config, revision=self.revision), name)
        return [split for split in names if split in ("train", "validation", "test")]

    def _reach(self, name: str) -> None:
        """Raise unless the hub answers within the time-out. Offline on purpose: only the cache is asked, later."""
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
            return
        answer: list[BaseException | None] = []
        worker = threading.Thread(target=lambda: answer.append(_answers(name, self.timeout)), daemon=True)
        worker.start()
        worker.join(self.timeout)
        if not answer or answer[0] is not None:
            raise _unreachable(name) from (answer[0] if answer else None)


def _answers(name: str, timeout: float) -> BaseException | None:
    """None when the hub knows the data set; the exception otherwise."""
    from huggingface_hub import HfApi

    try:
        HfApi().dataset_info(name, timeout=timeout)
    except Exception as error:  # whatever the network does
        return error
    return None


def _ask(call: Any, name: str) -> Any:
    try:
        return call()
    except Exception as error:  # the package raises many kinds
        raise _unreachable(name) from error


def _unreachable(name: str) -> DataError:
    return DataError(
        f"{name!r} is no file or folder here, and the hub did not give a data set of that name. Check the path or the "
        "id, the network and HF_HUB_OFFLINE; or save the data set elsewhere (save_to_disk) and name its folder."
    )


def _package() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MachineError(
            "Reading from the hub needs the package `datasets`: pip install 'tunewright[datasets]'. "
            "If a file was meant, check its path."
        ) from error
    return datasets
