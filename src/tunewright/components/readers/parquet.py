"""Parquet files, read batch by batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tunewright.core.contracts import Reader, Row
from tunewright.data import arrowrows
from tunewright.data.encoding import reading


@dataclass(frozen=True)
class Parquet(Reader):
    """Rows of a Parquet file; a row's line is its number, from 1."""

    batch_rows: Annotated[int, Field(ge=1)] = 8192  # rows decoded at a time; fewer take less memory

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def recognises(self, source: str) -> bool:
        """See Reader.recognises."""
        return os.path.isfile(source) and Path(source).suffix.lower() in self.suffixes

    def read(self, source: str) -> Iterator[Row]:
        """See Reader.read."""
        with reading(source), _open(source) as file:
            features = arrowrows.features(file.schema_arrow)
            line = 0
            for batch in file.iter_batches(batch_size=self.batch_rows):
                for values in arrowrows.rows(batch, features):
                    line += 1
                    yield Row(line, values)

    def describe(self, source: str) -> dict[str, Any]:
        """See Reader.describe."""
        with _open(source) as file:
            return {"columns": list(file.schema_arrow.names), "rows": file.metadata.num_rows}


def _open(source: str):
    from pyarrow.parquet import ParquetFile

    return ParquetFile(source)
