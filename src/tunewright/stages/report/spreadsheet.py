"""Write the wrong answers as a table that a spreadsheet opens, and that cannot make it compute or call anything."""

from __future__ import annotations

import csv
import io

from tunewright.core.report import Report
from tunewright.stages.report.untrusted import spreadsheet_cell
from tunewright.stages.report.views import names_of

COLUMNS = ("id", "text", "gold", "predicted", "score")


def errors_csv(report: Report) -> str:
    """The report's errors as CSV, opening with a byte order mark, without which Excel takes Chinese for Latin-1."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for error in report.get("errors", []):
        gold, predicted = ("; ".join(names_of(error.get(key))) for key in ("gold", "predicted"))
        text = " ⏎ ".join(error[part] for part in ("before", "text") if error.get(part))
        row = (error.get("id"), text, gold, predicted, error.get("score"))
        writer.writerow([spreadsheet_cell(value) for value in row])
    return "\ufeff" + file.getvalue()
