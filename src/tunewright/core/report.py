"""A run's measurements as plain JSON: what report.json holds, and what every rendering is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.core import files
from tunewright.core.errors import DamagedFile, UsageError

SCHEMA = 1
LANGUAGES = ("en", "zh")
VERDICTS = ("better", "no_gain", "worse")

# What every rendering needs, as dotted paths; all the rest may be absent, and its section is then left out.
REQUIRED: tuple[tuple[str, type], ...] = (
    ("name", str),
    ("task", str),
    ("verdict.verdict", str),
    ("verdict.metric", str),
    ("verdict.sentence", dict),
    ("data.ledger.rows", dict),
    ("results.tuned", dict),
)


@dataclass(frozen=True)
class Report:
    """The measurements of one run.

    content: the JSON object of schema 1. Numpy values, paths and tuples in it become JSON's own types, and what is
    not a number becomes null, so a report reads the same before it was saved and after.
    Raises UsageError naming the key when something that renderings need is missing.
    """

    content: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "content", files.jsonable(dict(self.content)))
        _check(self.content, "The report")

    @classmethod
    def load(cls, path: Path | str) -> Report:
        """Read a report.json, or the one in a run's folder. Raises UsageError when it is missing or no report."""
        path = Path(path) / "report.json" if Path(path).is_dir() else Path(path)
        try:
            content = files.read_json(path)
        except FileNotFoundError:
            raise UsageError(
                f"There is no report at {path}: `tunewright train` writes one into its run's folder."
            ) from None
        except DamagedFile:
            raise UsageError(f"{path} is no report: it is not JSON. Run the training again to write it anew.") from None
        _check(content, str(path))
        return cls(content)

    def save(self, path: Path | str) -> None:
        """Write the report as JSON to `path`, whole or not at all."""
        files.write_json(path, self.content)

    def get(self, path: str, default: Any = None) -> Any:
        """The value at a dotted path, as "training.best_step"; `default` where it is absent or null."""
        value = _at(self.content, path)
        return default if value is None else value

    @property
    def language(self) -> str:
        """The language it is told in, "en" or "zh": report_language, else Chinese for Chinese data."""
        return report_language(self.get("report_language", "auto"), self.get("language", "en"))

    @property
    def test_rows(self) -> int | None:
        """Rows of the sealed test split that were judged; None when the report does not say."""
        return self.get("results.tuned.n", self.get("data.ledger.rows.test.used"))


def _at(content: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(content, Mapping) or key not in content:
            return None
        content = content[key]
    return content


def _check(content: Any, source: str) -> None:
    if not isinstance(content, Mapping):
        raise UsageError(f"{source} is no report: it must be a JSON object.")
    if content.get("schema") != SCHEMA:
        raise UsageError(
            f"{source} has schema {content.get('schema')!r}, and this version reads schema {SCHEMA}. "
            "Render it with the version of Tunewright that wrote it (key 'tunewright')."
        )
    for path, kind in REQUIRED:
        value = _at(content, path)
        if not isinstance(value, kind):
            found = "is missing" if value is None else f"is {type(value).__name__}"
            raise UsageError(f"{source} is no complete report: {path} {found}, and must be {kind.__name__}.")
    if content["verdict"]["verdict"] not in VERDICTS:
        raise UsageError(
            f"{source}: verdict.verdict is {content['verdict']['verdict']!r}, and must be one of {', '.join(VERDICTS)}."
        )
    for language in LANGUAGES:
        if not isinstance(content["verdict"]["sentence"].get(language), str):
            raise UsageError(
                f"{source} is no complete report: verdict.sentence.{language} is missing, and must be str."
            )


def report_language(chosen: str, of_data: str | None) -> str:
    """What a report is told in, "en" or "zh": the recipe's choice, or for "auto" Chinese where the data are."""
    if chosen in LANGUAGES:
        return chosen
    return "zh" if str(of_data).lower().startswith("zh") else "en"
