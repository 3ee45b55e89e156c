"""What the renderings show, worked out once: ledger rows, result rows, the most confused labels, warnings.

HTML, Markdown and the model card ask the same functions here, so they cannot tell different stories.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tunewright.core.report import Report
from tunewright.stages.parity import SERVING
from tunewright.stages.wording import is_share

METRICS = ("accuracy", "macro_f1", "micro_f1", "mcc", "ece")  # in this order; others follow as they come
SPLITS = ("train", "validation", "test", "unlabelled")
MOST_CONFUSED = 12  # labels in the matrix: more do not fit a page
MOST_PAIRS = 12
ERRORS_SHOWN, MOST_ERRORS = 15, 100  # at once, and after a click; errors.csv holds them all
AROUND = 60  # characters of a long text that are shown on either side of a span
EXTREME_LABELS = 10  # most frequent and rarest, when there are too many to show
LONGEST_NAME = 200  # characters of a label that are shown
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class LedgerRow:
    """One split's rows: read + moved_in must equal used + dropped + moved_out."""

    split: str
    read: int
    moved_in: int
    used: int
    dropped: int
    moved_out: int
    reasons: Mapping[str, int]

    @property
    def missing(self) -> int:
        """Rows unaccounted for; 0 when the split adds up."""
        return self.read + self.moved_in - self.used - self.dropped - self.moved_out


@dataclass(frozen=True)
class TokenRow:
    """One split's tokens: seen must equal used + truncated."""

    split: str
    seen: int
    used: int
    truncated: int
    windows: int
    split_rows: int

    @property
    def missing(self) -> int:
        """Tokens unaccounted for; 0 when the split adds up."""
        return self.seen - self.used - self.truncated


@dataclass(frozen=True)
class ResultRow:
    """One model on the test: the tuned one (name "") or a baseline."""

    name: str
    values: Mapping[str, float | None]
    difference: Mapping[str, Any] | None
    interval: Mapping[str, Any] | None


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix. level: 0–9, by its share of the row; right: on the diagonal."""

    n: int
    level: int
    right: bool


@dataclass(frozen=True)
class Confusion:
    """The matrix of the most confused labels; `others` says whether a last column sums up the rest."""

    labels: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    others: bool
    of: int


@dataclass(frozen=True)
class Pair:
    """Two labels mixed up: `n` rows of `gold` were called `predicted`, which is `share` of gold's rows."""

    gold: str
    predicted: str
    n: int
    share: float | None


@dataclass(frozen=True)
class LabelRow:
    """One label's rows on each split; width: its training rows in percent of the most frequent label's."""

    label: str
    counts: Mapping[str, int]
    width: float


@dataclass(frozen=True)
class LabelRows:
    """Label counts, most frequent first: those shown at once, and all of them."""

    shown: tuple[LabelRow, ...]
    all: tuple[LabelRow, ...]
    splits: tuple[str, ...]


def in_order(splits: Mapping[str, Any]) -> list[str]:
    """The names of splits, train first."""
    return [s for s in SPLITS if s in splits] + [s for s in splits if s not in SPLITS]


def ledger_rows(report: Report) -> list[LedgerRow]:
    """The ledger of rows, one entry a split."""
    splits = report.get("data.ledger.rows", {})
    keys = ("read", "moved_in", "used", "dropped", "moved_out")
    return [
        LedgerRow(name, *(splits[name].get(key) or 0 for key in keys), splits[name].get("reasons") or {})
        for name in in_order(splits)
    ]


def ledger_total(rows: Sequence[LedgerRow]) -> LedgerRow:
    """All splits together. Rows moved between splits cancel out, which is why both columns are kept."""
    reasons: dict[str, int] = {}
    for row in rows:
        for kind, n in row.reasons.items():
            reasons[kind] = reasons.get(kind, 0) + n
    sums = (sum(getattr(row, key) for row in rows) for key in ("read", "moved_in", "used", "dropped", "moved_out"))
    return LedgerRow("total", *sums, reasons)


def token_rows(report: Report) -> list[TokenRow]:
    """The ledger of tokens, one entry a split; empty when nothing was encoded."""
    splits = {name: row for name, row in report.get("data.ledger.tokens", {}).items() if isinstance(row, Mapping)}
    keys = ("seen", "used", "truncated", "windows", "split_rows")
    return [TokenRow(name, *(splits[name].get(key) or 0 for key in keys)) for name in in_order(splits)]


def metrics(report: Report) -> list[str]:
    """Names of the plain numbers among the results, the familiar ones first."""
    tuned = report.get("results.tuned", {})
    plain = [name for name, value in tuned.items() if isinstance(value, (int, float)) and name not in ("n", "rows")]
    return [m for m in METRICS if m in plain] + [m for m in plain if m not in METRICS]


def result_rows(report: Report) -> list[ResultRow]:
    """The tuned model, then every baseline, best first by the deciding metric."""
    names, metric = metrics(report), report.get("verdict.metric")
    differences, intervals = report.get("results.differences", {}), report.get("results.intervals", {})

    def row(name: str, values: Mapping[str, Any]) -> ResultRow:
        found = {m: values.get(m) for m in names}
        return ResultRow(name, found, differences.get(name), intervals.get(name or "tuned"))

    baselines = [row(name, values) for name, values in report.get("results.baselines", {}).items()]
    baselines.sort(key=lambda r: r.values.get(metric) or 0.0, reverse=True)
    return [row("", report.get("results.tuned")), *baselines]


def label_rows(report: Report, most: int = 2 * EXTREME_LABELS + 4) -> LabelRows | None:
    """Label counts; of more than `most` labels, `shown` holds the most frequent and the rarest. None without counts."""
    splits = report.get("data.labels", {})
    names = list(dict.fromkeys(label for split in in_order(splits) for label in splits[split]))
    if not names:
        return None
    first = splits[in_order(splits)[0]]
    largest = max([*first.values(), 1])
    names.sort(key=lambda label: (-first.get(label, 0), label))
    rows = tuple(
        LabelRow(label, {s: splits[s].get(label, 0) for s in splits}, round(100 * first.get(label, 0) / largest, 2))
        for label in names
    )
    shown = rows if len(rows) <= most else rows[:EXTREME_LABELS] + rows[-EXTREME_LABELS:]
    return LabelRows(shown, rows, tuple(in_order(splits)))


def class_rows(report: Report) -> list[tuple[str, Mapping[str, Any]]]:
    """(label, {precision, recall, f1, support}), weakest first; last those without test rows, whose measures are None.

    A measure of no rows is 0 by convention, and would pass for the worst of all.
    """
    untested = dict.fromkeys(("precision", "recall", "f1"))
    classes = report.get("results.tuned.per_class", {})
    rows = [(label, {**row, **untested} if row.get("support") == 0 else row) for label, row in classes.items()]
    return sorted(rows, key=lambda item: (math.inf if item[1].get("f1") is None else item[1]["f1"], item[0]))


def tested(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Those of `class_rows` that the test can tell something about."""
    return [(label, row) for label, row in rows if row.get("f1") is not None]


def weakest_labels(report: Report, most: int) -> list[tuple[str, Mapping[str, Any]]]:
    """The labels that are clearly weaker than the average one, weakest first: at most `most`, and a third of all.

    Clearly: the F1 lies further below the average than two standard errors of a share of that label's test rows.
    """
    rows = tested(class_rows(report))
    average = sum(row["f1"] for _, row in rows) / max(1, len(rows))
    spread = 2 * math.sqrt(average * (1 - average))
    clear = [item for item in rows if average - item[1]["f1"] > spread / math.sqrt(item[1].get("support") or 1)]
    return clear[: min(most, len(rows) // 3)]


def confusion(report: Report) -> Confusion | None:
    """The confusion matrix, cut to the most confused labels when there are many. None when it was not kept."""
    matrix = report.get("results.tuned.confusion")
    labels = report.get("results.tuned.labels", list(report.get("results.tuned.per_class", {})))
    if not matrix or len(matrix) != len(labels):
        return None
    kept = list(range(len(labels))) if len(labels) <= MOST_CONFUSED + 3 else _most_confused(matrix)
    others = len(kept) < len(labels)
    rows = []
    for i in kept:
        counts = [matrix[i][j] for j in kept]
        total = sum(matrix[i])
        cells = [Cell(n, _level(n, total), i == j) for j, n in zip(kept, counts, strict=True)]
        if others:
            cells.append(Cell(total - sum(counts), _level(total - sum(counts), total), False))
        rows.append((labels[i], tuple(cells)))
    return Confusion(tuple(labels[i] for i in kept), tuple(rows), others, len(labels))


def confusion_pairs(report: Report) -> list[Pair]:
    """The pairs of labels mixed up most often."""
    classes = report.get("results.tuned.per_class", {})
    pairs = []
    for pair in report.get("results.tuned.confusion_pairs", [])[:MOST_PAIRS]:
        support = (classes.get(pair["gold"]) or {}).get("support")
        pairs.append(Pair(pair["gold"], pair["predicted"], pair["n"], pair["n"] / support if support else None))
    return pairs


def findings(report: Report) -> list[Mapping[str, Any]]:
    """What the data checks found, most serious first."""
    found = report.get("data.findings", [])
    return sorted(
        found, key=lambda f: SEVERITIES.index(f["severity"]) if f["severity"] in SEVERITIES else len(SEVERITIES)
    )


def weakest_slices(report: Report, most: int = 3) -> list[tuple[str, Mapping[str, Any]]]:
    """(column, slice) of the parts of the test that are clearly weaker: their interval lies below the overall value."""
    overall = report.get(f"results.tuned.{report.get('verdict.metric')}", -math.inf)
    parts = [(column, part) for column, slices in report.get("slices", {}).items() for part in slices]
    clear = [(column, part) for column, part in parts if part.get("high") is not None and part["high"] < overall]
    return sorted(clear, key=lambda item: item[1]["value"])[:most]


def validation_curves(report: Report) -> dict[str, list[tuple[int, float]]]:
    """Validation metric → (step, value) over the run: the deciding one first, then others on the same scale, and loss.

    Left out: what is not better when larger (ECE), and curves that repeat another (micro F1 of single labels).
    """
    history = [entry for entry in report.get("training.history", []) if entry.get("validation")]
    metric = report.get("verdict.metric")
    names = dict.fromkeys([metric, *METRICS, *(name for entry in history for name in entry["validation"])])
    found: dict[str, list[tuple[int, float]]] = {}
    for name in names:
        curve = [(e["step"], e["validation"][name]) for e in history if e["validation"].get(name) is not None]
        alike = is_share(name) == is_share(metric) and name != "ece"
        if curve and (alike or name == "loss") and curve not in found.values():
            found[name] = curve
    return found


def loss_curve(report: Report) -> list[tuple[int, float]]:
    """Training loss as (step, value)."""
    return [
        (entry["step"], entry.get("loss"))
        for entry in report.get("training.losses", report.get("training.history", []))
    ]


def warnings(report: Report) -> list[tuple[str, dict[str, Any]]]:
    """What a reader must know before trusting the numbers: (key of the text, its values)."""
    found: list[tuple[str, dict[str, Any]]] = []
    if report.get("training.best_step") == 0 and report.get("training.steps", 1):
        found.append(("warn.start", {"start": report.get("recipe.train.start.name", "random")}))
    if (uses := report.get("verdict.test_uses", 1)) > 1:
        found.append(("warn.test_uses", {"n": uses}))
    if odd := [row.split for row in (*ledger_rows(report), *token_rows(report)) if row.missing]:
        found.append(("warn.ledger", {"where": ", ".join(dict.fromkeys(odd))}))
    if certificate_passed(report) is False:
        found.append(("warn.certificate", {}))
    if serious := [f["kind"] for f in findings(report) if f["severity"] == "error"]:
        found.append(("warn.findings", {"kinds": ", ".join(dict.fromkeys(serious))}))
    return found


def certificate_own(report: Report) -> bool:
    """Whether plain `transformers` was not held against it, but what serves alone."""
    return report.get("certificate.name") == SERVING


def certificate_passed(report: Report) -> bool | None:
    """Whether every check of the certificate passed; None when nothing was checked."""
    checks = report.get("certificate.checks")
    return None if not checks else all(check.get("passed") for check in checks)


def names_of(value: Any) -> list[str]:
    """The label or labels of an answer as a list: [] for none; of a span its text, and its label where it has one; of a triple
    head, relation and tail; of a frame its intent first; of several tasks each one's with its name before them."""
    if value is None:
        return []
    if _is_several(value):
        own = {name: names_of(part) for name, part in value.items()}
        plain = value.keys() <= PLAIN
        return [one if plain else f"{name}: {one}" for name, names in own.items() for one in names]
    items = value if isinstance(value, (list, tuple)) else [value]
    return [_name_of(item) for item in items]


def short_names_of(value: Any) -> list[str]:
    """The same where there is little room: documents as labels can be long."""
    return [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…" for name in names_of(value)]


def _name_of(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    if "relation" in item:
        return f"{item['head'].get('text')} → {item['relation']} → {item['tail'].get('text')}"
    return f"{item.get('text')} ({item['label']})" if "label" in item else str(item.get("text"))


PLAIN = {"intent", "slots", "entities", "triples"}  # parts of one task's answer, which need no names beside them


def undrawn(value: Any) -> list[str]:
    """Of an answer that is drawn in its text the labels that are no spans, as `names_of` gives them."""
    return names_of({name: part for name, part in value.items() if not _spans_of(part)}) if _is_several(value) else []


def _is_several(value: Any) -> bool:
    """Whether an answer has parts by name, and is no span."""
    return isinstance(value, Mapping) and "start" not in value


class Piece(NamedTuple):
    """A piece of a text. kind: "" outside spans, "right", "missed" (true alone), "extra" (the model's alone), "other"
    (of both, and not the same span); labels: what stands at the piece's end."""

    text: str
    kind: str
    gold: str
    predicted: str


def pieces(error: Mapping[str, Any], most: int) -> list[Piece]:
    """An error's text, cut where a span begins or ends; [] where its answers are no spans. Of one longer than `most`
    characters what stands around the spans."""
    gold, predicted = (_spans_of(error.get(key)) for key in ("gold", "predicted"))
    if not gold and not predicted:
        return []
    text = str(error.get("text"))
    edges = {place for span in (*gold, *predicted) for place in (span["start"], span["end"])}
    places = sorted({0, len(text), *(place for place in edges if 0 < place < len(text))})
    found = [_piece(text, *ends, gold, predicted) for ends in itertools.pairwise(places)]
    return found if len(text) <= most else _shortened(found, most)


def _shortened(found: Sequence[Piece], most: int) -> list[Piece]:
    """The same pieces in about `most` characters: of those outside spans what is next to one, until there are enough."""
    kept: list[Piece] = []
    for index, piece in enumerate(found):
        text = piece.text
        if not piece.kind and len(text) > 2 * AROUND:
            last = index + 1 == len(found)
            text = f"{text[:AROUND] if index else ''}…{'' if last else text[-AROUND:]}"
        room = most - sum(len(one.text) for one in kept)
        if len(text) > room:
            return [*kept, piece._replace(text=f"{text[:room]}…")]
        kept.append(piece._replace(text=text))
    return kept


def _spans_of(answer: Any) -> list[Mapping[str, Any]]:
    """The spans of an answer, those of its parts among them."""
    if _is_several(answer):
        return [span for part in answer.values() for span in _spans_of(part)]
    return (
        [span for span in answer if isinstance(span, Mapping) and "start" in span] if isinstance(answer, list) else []
    )


def drawn(errors: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any of these errors is drawn in its text."""
    return any(pieces(error, 1) for error in errors)


def _piece(
    text: str, start: int, end: int, gold: Sequence[Mapping[str, Any]], predicted: Sequence[Mapping[str, Any]]
) -> Piece:
    here = [[span for span in spans if span["start"] <= start < span["end"]] for spans in (gold, predicted)]
    true, said = (spans[0] if spans else None for spans in here)
    same = said and any(all(one.get(key) == said.get(key) for key in ("start", "end", "label")) for one in here[0])
    kind = "right" if same else "other" if true and said else "missed" if true else "extra" if said else ""
    names = (str(span.get("label", "")) if span and span["end"] == end else "" for span in (true, said))
    return Piece(text[start:end], kind, *names)


def _most_confused(matrix: Sequence[Sequence[int]]) -> list[int]:
    """Indices of the labels in the most frequent mix-ups, at most MOST_CONFUSED, in label order."""
    size = len(matrix)
    pairs = sorted((-matrix[i][j], i, j) for i in range(size) for j in range(size) if i != j and matrix[i][j])
    kept: dict[int, None] = {}
    for _, i, j in pairs:
        if len(kept.keys() | {i, j}) > MOST_CONFUSED:
            break
        kept.update({i: None, j: None})
    return sorted(kept) or list(range(MOST_CONFUSED))


def _level(n: int, total: int) -> int:
    """0 for an empty cell, else 1–9 by the share of the row."""
    return 0 if not n or not total else min(9, 1 + int(9 * n / total))


@dataclass(frozen=True)
class RuntimeRow:
    """A runtime as the table of runtimes shows it; `lacks` says why it was not tried."""

    name: str
    chosen: bool
    lacks: str
    in_bulk: float | None
    milliseconds: float | None
    loss: float | None
    flips: int | None


def runtime_rows(report: Report) -> list[RuntimeRow]:
    """Every runtime that was tried, the fastest first, then those that could not run."""
    found = [
        RuntimeRow(
            name=runtime_name(trial["runtime"]),
            chosen=trial["runtime"] == report.get("runtime.chosen"),
            lacks=trial.get("lacks", ""),
            in_bulk=trial.get("in_bulk"),
            milliseconds=None if "alone" not in trial else 1000 * trial["alone"],
            loss=trial.get("loss"),
            flips=trial.get("flips"),
        )
        for trial in report.get("runtime.trials", [])
    ]
    return sorted(found, key=lambda row: (bool(row.lacks), -(row.in_bulk or 0)))


def runtime_name(described: Mapping[str, Any]) -> str:
    """A runtime with its settings in a word: "onnx int8"."""
    return " ".join(str(value) for value in described.values())
