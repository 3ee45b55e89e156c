"""A report as a manager reads it and an engineer uses it: HTML, Markdown, the errors as a table, the model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.core.files import write_text
from tunewright.core.report import Report
from tunewright.stages.report.card import render_card
from tunewright.stages.report.html import render_html
from tunewright.stages.report.markdown import render_markdown
from tunewright.stages.report.search import render_search
from tunewright.stages.report.spreadsheet import errors_csv

__all__ = [
    "errors_csv", "render_card", "render_html", "render_markdown", "render_search", "write_card", "write_reports", "write_search",
]  # fmt: skip


def write_reports(report: Report, folder: Path | str, language: str | None = None) -> None:
    """Write report.json, report.html, report.md and errors.csv into `folder`, each whole or not at all.

    language: "en" or "zh"; None: the report's own. Raises MachineError when the folder cannot be written.
    """
    folder = Path(folder)
    report.save(folder / "report.json")
    write_text(folder / "report.html", render_html(report, language))
    write_text(folder / "report.md", render_markdown(report, language))
    write_text(folder / "errors.csv", errors_csv(report))


def write_card(report: Report, folder: Path | str, language: str | None = None) -> None:
    """Write the model card README.md, in the form of the Hugging Face hub, into a bundle's `folder`."""
    write_text(Path(folder) / "README.md", render_card(report, language))


def write_search(content: Mapping[str, Any], path: Path) -> None:
    """Write the page of a search.json, whole or not at all."""
    write_text(path, render_search(content))
