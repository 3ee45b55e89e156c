"""Rows of Arrow record batches, with the class names that `datasets` keeps beside the numbers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def rows(batch: pa.RecordBatch, features: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give a batch's rows as column → plain Python value; class numbers become names, bytes become text."""
    columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
    for name, values in columns.items():
        names = _class_names(features.get(name))
        columns[name] = [_plain(value, names) for value in values]
    names = list(columns)
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(names, cells, strict=True))


def features(schema: pa.Schema) -> dict[str, Any]:
    """Return the features that `datasets` wrote into a schema's metadata; {} when there are none."""
    stored = (schema.metadata or {}).get(b"huggingface")
    try:
        return json.loads(stored)["info"]["features"] if stored else {}
    except (ValueError, KeyError, TypeError):
        return {}


def _class_names(feature: Any) -> list[str]:
    """The names of a ClassLabel, or of the ClassLabel inside a list; [] for any other feature."""
    if isinstance(feature, list):
        feature = feature[0] if feature else None
    if not isinstance(feature, Mapping):
        return []
    if feature.get("_type") == "ClassLabel":
        return list(feature.get("names") or [])
    return _class_names(feature.get("feature"))


def _plain(value: Any, names: list[str]) -> Any:
    if names and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    if isinstance(value, list):
        return [_plain(part, names) for part in value]
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(value).decode("ascii")
    if value is None or isinstance(value, (str, bool, int, float, dict)):
        return value
    return str(value)
