"""Look before training for what spoils a model: duplicates, leakage, conflicts, garbled texts, odd labels."""

from __future__ import annotations

import itertools
import re
import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tunewright.core import spans
from tunewright.core.contracts import Task
from tunewright.core.errors import DataError, listing, plural
from tunewright.core.files import parse_json
from tunewright.core.recipe import FindingKind
from tunewright.core.types import Answer, Example, Label, Note, Rejected, Span, by_task, label_names, placed
from tunewright.data.dataset import LEDGER, Dataset, Split
from tunewright.data.language import NAMES
from tunewright.data.normalise import normalise, normalise_label

KINDS: tuple[str, ...] = typing.get_args(FindingKind)
EXAMPLES = 5
RARE = 5  # training rows below which a label can hardly be learned
IMBALANCE = 20  # times that the largest class may exceed the smallest; beyond, it is said, and macro F1 decides
NEAR = 0.8  # share of four-character pieces that near duplicates have in common
_NEAR_ROWS, _NEAR_ROWS_DEEP = 10_000, 100_000
_TOKEN_ROWS, _CHUNK = 5_000, 512

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# UTF-8 read as Latin-1 or Windows-1252: "ä½ å¥½" for 你好, "Ã©" for é.
_AS_LATIN = re.compile(
    r"(?:[\u00e3-\u00ef][\u00a0\u0020\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    r"\u2013-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]{1,2}){2,}|\u00c3[\u0080-\u00bf]|\u00e2\u20ac[\u0099\u0153\u0153\u2122\u201c\u201d]"
)
_AS_GBK = re.compile("锟斤拷|烫烫烫|屯屯屯")
_HAN_RUN = re.compile("[\u3040-\u9fff]{3,}")

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    kind: machine word (one of KINDS), as recipes name it under data.refuse; count: rows (or labels) concerned;
    examples: up to five "file:line: excerpt", for the terminal and the report only; message: what it is and what to do.
    """

    kind: str
    severity: Severity
    count: int
    examples: tuple[str, ...]
    message: Note


def findings(
    dataset: Dataset,
    processor: Any = None,
    deep: bool = False,
    *,
    languages: Sequence[str] = (),
    backbone: str = "the backbone",
) -> list[Finding]:
    """Return what is wrong or odd about prepared data, errors first.

    processor: a Processor, for tokens that would be lost and characters it does not know; None leaves these out;
    deep: look at all rows where a sample is looked at otherwise; languages: those the backbone knows, as
    BackboneFacts.languages. Works at constant memory but for 16 bytes a row.
    """
    rows = _Rows(dataset)
    found = [
        *_lost_rows(dataset),
        _leakage(dataset, rows),
        _duplicates(rows),
        _conflicts(dataset, rows),
        _near_duplicates(dataset, deep),
        _garbled(dataset),
        *_labels(dataset),
        _language(dataset, languages, backbone),
        *(_tokens(dataset, processor, deep, backbone) if processor is not None else ()),
    ]
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted((finding for finding in found if finding), key=lambda finding: order[finding.severity])


class _Rows:
    """Keys of all rows of all splits, one after the other, sorted by key."""

    def __init__(self, dataset: Dataset) -> None:
        self.splits = list(dataset.splits.values())
        self.starts = np.concatenate([[0], np.cumsum([len(split) for split in self.splits])])
        keys = [split.column("_key").to_numpy() for split in self.splits]
        self.keys = np.concatenate(keys) if keys else np.zeros(0, np.uint64)
        self.order = np.argsort(self.keys, kind="stable")
        ordered = self.keys[self.order]
        # Group number of every row in `order`: rows with equal keys share one.
        self.groups = np.cumsum(np.concatenate([[0], ordered[1:] != ordered[:-1]])) if len(ordered) else ordered
        self.owner = np.searchsorted(self.starts, self.order, side="right") - 1

    def excerpts(self, rows: Sequence[int]) -> tuple[str, ...]:
        """ "file:line: beginning of the text" of rows by their number over all splits."""
        shown = []
        for row in rows:
            owner = int(np.searchsorted(self.starts, row, side="right") - 1)
            shown.append(excerpt(self.splits[owner], int(row - self.starts[owner])))
        return tuple(shown)

    def labels(self, rows: np.ndarray) -> list[Label]:
        """The labels of rows by their number over all splits."""
        found: list[Label] = [None] * len(rows)
        owners = np.searchsorted(self.starts, rows, side="right") - 1
        for owner, split in enumerate(self.splits):
            own = np.flatnonzero(owners == owner)
            for place, example in zip(own, split.take(rows[own] - self.starts[owner]), strict=True):
                found[place] = example.label
        return found


def excerpt(split: Split, row: int, most: int = 60) -> str:
    """Return "file:line: beginning of the text" of one row, on one line, for people."""
    example = split.take([row])[0]
    return f"{example.id}: {one_line(example.inputs.values(), most)}"


def one_line(texts: Iterable[object], most: int) -> str:
    """The beginning of a row's texts on one line, without characters that a terminal would act on."""
    text = " | ".join(map(str, texts))
    flat = "".join(character if character.isprintable() else " " for character in text[: 2 * most])
    flat = " ".join(flat.split())
    return f"{flat[:most]}{'…' if len(flat) > most else ''}"


def _lost_rows(dataset: Dataset) -> Iterator[Finding]:
    """Findings about rows that did not get into the data at all, from the ledger."""
    told = {
        "empty": (("empty_text", "empty_label"), "had no text or no label", "没有文本或标签"),
        "broken_rows": (
            ("broken_row", "bad_label", "bad_time"),
            "had another form than the others",
            "格式与其他数据不同",
        ),
    }
    counts: Counter[str] = Counter()
    for split in dataset.ledger["rows"].values():
        counts.update(split["reasons"])
    places = _ledger_places(dataset)
    for kind, (reasons, what, what_zh) in told.items():
        count = sum(counts[reason] for reason in reasons)
        if count:
            shown = [place for reason in reasons for place in places.get(reason, [])][:EXAMPLES]
            said = f"{plural(count, 'row')} left out that {what} (ledger.jsonl lists all)."
            zh = f"有 {count} 条{what_zh}，未被使用（全部列在 ledger.jsonl 中）。"
            yield Finding(kind, "warning", count, tuple(shown), Note(said, zh))


def _ledger_places(dataset: Dataset) -> dict[str, list[str]]:
    """Reason's kind → the first places it names, as "file:line: reason"."""
    found: dict[str, list[str]] = {}
    ledger = dataset.folder / LEDGER
    if not ledger.exists():
        return found
    with open(ledger, encoding="utf-8") as lines:
        for line in lines:
            entry = parse_json(line, ledger)
            places = found.setdefault(entry.get("kind", ""), [])
            if len(places) < EXAMPLES and "file" in entry:
                places.append(f"{entry['file']}:{entry['line']}: {entry['reason']}")
    return found


def _leakage(dataset: Dataset, rows: _Rows) -> Finding | None:
    dropped = sum(split["reasons"].get("leakage", 0) for split in dataset.ledger["rows"].values())
    if dropped:
        told = f"{plural(dropped, 'row')} of train whose text stands in validation or test too: dropped (data.leakage: drop)."
        zh = f"训练集中有 {dropped} 条的文本也出现在验证集或测试集中，已从训练集去掉（data.leakage: drop）。"
        return Finding("leakage", "warning", dropped, tuple(_ledger_places(dataset).get("leakage", ())), Note(told, zh))
    if len(rows.splits) < 2 or not len(rows.keys):
        return None
    sets = np.zeros(int(rows.groups[-1]) + 1, dtype=np.uint8)
    for owner in range(len(rows.splits)):
        sets[rows.groups[rows.owner == owner]] |= 1 << owner
    several = (sets & (sets - 1)) != 0
    concerned = rows.order[several[rows.groups]]
    if not len(concerned):
        return None
    training = [row for row in np.sort(concerned) if row < rows.starts[1]]
    count = len(training) or len(concerned)
    severity: Severity = "error" if training else "warning"
    sides = "train as well as in validation or test" if training else "validation as well as in test"
    told = (
        f"{plural(count, 'row')} whose text stands in {sides}: results look too good. Remove them (data.leakage: drop)."
    )
    sides = "既在训练集中，又在验证集或测试集中" if training else "既在验证集中，又在测试集中"
    zh = f"有 {count} 条的文本{sides}，结果会显得过好。请去掉它们（data.leakage: drop）。"
    return Finding(
        "leakage", severity, count, rows.excerpts((training or np.sort(concerned))[:EXAMPLES]), Note(told, zh)
    )


def _duplicates(rows: _Rows) -> Finding | None:
    """Rows of a split whose normalised text a row before them has."""
    if not len(rows.keys):
        return None
    again = (rows.groups[1:] == rows.groups[:-1]) & (rows.owner[1:] == rows.owner[:-1])
    copies = np.sort(rows.order[1:][again])
    if not len(copies):
        return None
    told = (
        f"{plural(len(copies), 'row')} with the text of an earlier one in the split (case, width, spaces, marks aside)."
    )
    zh = f"同一部分数据中有 {len(copies)} 条与前面某条的文本相同（不计大小写、全半角、空格和标点）。"
    return Finding("duplicates", "note", len(copies), rows.excerpts(copies[:EXAMPLES]), Note(told, zh))


def _conflicts(dataset: Dataset, rows: _Rows) -> Finding | None:
    """Rows that have the same text as another one and not the same label; of documents, one that is answer and is not."""
    if not dataset.labels or not len(rows.keys):
        return None
    twins = np.flatnonzero((np.bincount(rows.groups) > 1)[rows.groups])
    labels = dict(zip(twins.tolist(), rows.labels(rows.order[twins]), strict=True))
    several: dict[tuple[int, str], set[Any]] = {}
    for at, label in labels.items():
        for task, own in by_task(label).items():
            several.setdefault((int(rows.groups[at]), task), set()).add(own)
    if dataset.task.retrieves:
        concerned = [at for at, label in labels.items() if _contradicted(label, several[int(rows.groups[at]), ""])]
    else:
        concerned = [
            at for at in labels if any(len(several[int(rows.groups[at]), task]) > 1 for task in by_task(labels[at]))
        ]
    if not concerned:
        return None
    shown = [
        f"{rows.excerpts([int(rows.order[at])])[0]} → {one_line(label_names(labels[at]), 60) or 'none'}"
        for at in concerned[:EXAMPLES]
    ]
    told = f"{plural(len(concerned), 'row')} with the same text as another one and not its label. Decide for one, or remove them."
    zh = f"有 {len(concerned)} 条与另一条文本相同而标签不同。请选定一个标签，或去掉这些数据。"
    return Finding("conflicts", "warning", len(concerned), tuple(shown), Note(told, zh))


def _contradicted(label: Label, labels: set[Label]) -> bool:
    """Whether a document is said to answer a query in one row and not to in another."""
    if isinstance(label, Rejected):
        return any(label.document in other for other in labels if isinstance(other, tuple))
    return any(other.document in label for other in labels if isinstance(other, Rejected))


def _near_duplicates(dataset: Dataset, deep: bool) -> Finding | None:
    """Pairs of rows that share most of their four-character pieces (MinHash, Broder 1997), in the first rows."""
    from datasketch import MinHash, MinHashLSH

    most = _NEAR_ROWS_DEEP if deep else _NEAR_ROWS
    places, pieces, total = _pieces(dataset, most)
    if len(places) < 2:
        return None
    hashes = MinHash.bulk([[piece.encode() for piece in some] for some in pieces], num_perm=64)
    index = MinHashLSH(threshold=NEAR, num_perm=64)
    near: list[tuple[int, int]] = []
    across = 0
    for row, minhash in enumerate(hashes):
        others = [other for other in index.query(minhash) if 1 > _jaccard(pieces[row], pieces[other]) >= NEAR]
        if others:
            near.append((row, others[0]))
            across += any(places[other][0] is not places[row][0] for other in others)
        index.insert(row, minhash)
    if not near:
        return None
    shown = [f"{excerpt(*places[row])} ≈ {excerpt(*places[other])}" for row, other in near[:EXAMPLES]]
    more = "" if deep else "; --deep looks at more"
    looked = f" Only the first {most} of {total} rows were looked at{more}." if total > most else ""
    told = f"{plural(len(near), 'row')} nearly like another one, {across} of them like one of another split.{looked}"
    looked = f"只看了 {total} 条中的前 {most} 条{'' if deep else '，加 --deep 可以多看一些'}。" if total > most else ""
    zh = f"有 {len(near)} 条与另一条几乎相同，其中 {across} 条与另一部分数据中的某条几乎相同。{looked}"
    return Finding("near_duplicates", "warning" if across else "note", len(near), tuple(shown), Note(told, zh))


def _pieces(dataset: Dataset, most: int) -> tuple[list[tuple[Split, int]], list[frozenset[str]], int]:
    """Places and four-character pieces of the first rows of each split, by its size; and the number of all rows."""
    total = sum(len(split) for split in dataset.splits.values())
    places, pieces = [], []
    for split in dataset.splits.values():
        stop = len(split) if total <= most else max(1, most * len(split) // total)
        for row, text in enumerate(split.texts(0, stop)):
            plain = normalise(text)[:5000]
            if len(plain) >= 8:  # shorter texts differ by a word and mean something else
                places.append((split, row))
                pieces.append(frozenset(plain[at : at + 4] for at in range(len(plain) - 3)))
    return places, pieces, total


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def _garbled(dataset: Dataset) -> Finding | None:
    """Rows left out because they do not decode, and texts that decode and are broken all the same."""
    lost = sum(split["reasons"].get("garbled", 0) for split in dataset.ledger["rows"].values())
    shown = _ledger_places(dataset).get("garbled", []) if lost else []
    count = 0
    for split in dataset.splits.values():
        for row, text in enumerate(split.texts()):
            if is_garbled(text):
                count += 1
                if len(shown) < EXAMPLES:
                    shown.append(excerpt(split, row))
    if not count + lost:
        return None
    told = [f"{plural(lost, 'row')} left out that would not decode."] if lost else []
    if count:
        told.append(
            f"{plural(count, 'row')} with replacement or control characters, or text once read in a wrong encoding."
        )
    message = " ".join([*told, "Get them anew from where they come from, or remove them."])
    zh = f"有 {lost} 条无法解码，未被使用。" if lost else ""
    zh += f"有 {count} 条含有替换字符或控制字符，或曾按错误的编码读取。" if count else ""
    return Finding(
        "garbled", "warning", count + lost, tuple(shown), Note(message, zh + "请从来源重新获取，或去掉它们。")
    )


def is_garbled(text: str) -> bool:
    """Whether a text holds U+FFFD, control characters, or characters that come of reading one encoding as another."""
    if text.isascii():
        return bool(_CONTROL.search(text))
    if "\ufffd" in text or _CONTROL.search(text) or _AS_LATIN.search(text) or _AS_GBK.search(text):
        return True
    return any(_is_utf8_as_gbk(run) for run in _HAN_RUN.findall(text[:2000]))


def _is_utf8_as_gbk(run: str) -> bool:
    """Whether Chinese characters are really UTF-8 bytes read as GBK: "浣犲ソ" for 你好.

    The bytes of some real words ("为什么") are UTF-8 too, but of letters that no Chinese text mixes.
    """
    try:
        meant = run.encode("gbk").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return False
    return all("\u3000" <= character <= "\u9fff" for character in meant)


def _labels(dataset: Dataset) -> Iterator[Finding]:
    """Labels that are spelled alike, have few rows, or far fewer than the largest."""
    counts: Mapping[str, int] = dataset.described["labels"].get("train", {})
    if dataset.task.retrieves:
        yield from _alike_documents(dataset.labels)
    if not counts or not dataset.labels:
        return
    alike: dict[str, list[str]] = {}
    for label in dataset.labels:
        alike.setdefault(normalise_label(label), []).append(label)
    groups = [group for group in alike.values() if len(group) > 1]
    if groups:
        told = f"{plural(len(groups), 'label')} spelled in several ways (case, spaces or width). Write each in one way."
        shown = tuple(
            " = ".join(f"{label!r} ({counts.get(label, 0)})" for label in group) for group in groups[:EXAMPLES]
        )
        zh = f"有 {len(groups)} 个标签有几种写法（大小写、空格或全半角不同）。请统一写法。"
        yield Finding("label_spelling", "warning", len(groups), shown, Note(told, zh))
    few = [label for label in dataset.labels if counts.get(label, 0) < RARE]
    rare = sorted(few, key=lambda label: counts.get(label, 0))
    if rare:
        told = f"{plural(len(rare), 'label')} with fewer than {RARE} training rows: hardly learned. Add rows, or merge labels."
        shown = tuple(f"{label!r}: {counts.get(label, 0)}" for label in rare[:EXAMPLES])
        zh = f"有 {len(rare)} 个标签的训练数据不足 {RARE} 条，很难学会。请增加数据，或合并标签。"
        yield Finding("rare_classes", "warning", len(rare), shown, Note(told, zh))
    least, largest = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[largest] > IMBALANCE * counts[least]:
        told = (
            f"The largest label has {counts[largest] / counts[least]:.0f} times the rows of the smallest: accuracy "
            "hides the small ones. Look at macro_f1; train.class_weights: auto balances them."
        )
        ends = (f"{largest!r}: {counts[largest]}", f"{least!r}: {counts[least]}")
        zh = (
            f"最大的标签的数据量是最小的 {counts[largest] / counts[least]:.0f} 倍，只看准确率会掩盖小标签的好坏。"
            "请看 macro_f1；train.class_weights: auto 会平衡它们。"
        )
        yield Finding("imbalance", "note", len(counts), ends, Note(told, zh))


def _alike_documents(documents: Sequence[str]) -> Iterator[Finding]:
    """Documents that stand twice but for case, width, spaces and marks: the search cannot tell them apart."""
    alike: dict[str, list[str]] = {}
    for document in documents:
        alike.setdefault(normalise(document), []).append(document)
    groups = [group for group in alike.values() if len(group) > 1]
    if groups:
        told = f"{plural(len(groups), 'document')} written in several ways (case, spaces, width or marks). Keep one of each."
        zh = f"有 {len(groups)} 篇文档有几种写法（大小写、空格、全半角或标点不同）。请各保留一种。"
        shown = tuple(" = ".join(one_line([text], 60) for text in group) for group in groups[:EXAMPLES])
        yield Finding("label_spelling", "warning", len(groups), shown, Note(told, zh))


def _language(dataset: Dataset, known: Sequence[str], backbone: str) -> Finding | None:
    shares: Mapping[str, float] = dataset.described.get("languages", {})
    if not known or "*" in known:
        return None
    foreign = {code: share for code, share in shares.items() if code not in known}
    share = sum(foreign.values())
    if share < 0.02:
        return None
    rows = sum(len(split) for split in dataset.splits.values())
    named = ", ".join(f"{NAMES.get(code, code)} {part:.0%}" for code, part in foreign.items())
    told = (
        f"{backbone} was not trained on the language of about {share:.0%} of the rows ({named}); it knows "
        f"{listing(known)}. Choose another model.backbone; auto picks one by the language."
    )
    zh = (
        f"{backbone} 没有学过其中约 {share:.0%} 的数据所用的语言（{named}），它只懂 {listing(known)}。"
        "请换一个 model.backbone；auto 会按语言选择。"
    )
    return Finding("language", "error" if share > 0.5 else "warning", round(share * rows), (), Note(told, zh))


@dataclass
class _Tokens:
    """Tokens of the rows looked at, by label."""

    rows: int = 0
    longer: int = 0  # rows of several windows, cut off, or refused
    unknown: int = 0
    total: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)
    spans: int = 0
    unmarked: int = 0  # spans that whole tokens and words cannot mark
    unmarked_shown: list[str] = field(default_factory=list)


def _tokens(dataset: Dataset, processor: Any, deep: bool, backbone: str) -> Iterator[Finding]:
    counted = _Tokens()
    for split in dataset.splits.values():
        stop = len(split) if deep else min(len(split), _TOKEN_ROWS)
        for start in range(0, stop, _CHUNK):
            _count_tokens(split, start, min(start + _CHUNK, stop), processor, counted, dataset.task)
    if counted.longer:
        yield _truncation(counted, processor)
    if counted.unmarked:
        yield _span_edges(counted, backbone)
    if counted.total and counted.unknown / counted.total > 0.02:
        share = counted.unknown / counted.total
        told = (
            f"{backbone} has no tokens for {share:.0%} of the text's pieces and reads them all as unknown. "
            "Choose a backbone for this language (model.backbone)."
        )
        zh = f"{backbone} 的词表不含文本中 {share:.0%} 的片段，都当作未知处理。请换用懂这种语言的 model.backbone。"
        yield Finding("language", "warning", counted.unknown, (), Note(told, zh))


def _count_tokens(split: Split, start: int, stop: int, processor: Any, counted: _Tokens, task: Task) -> None:
    examples = split.examples(start, stop)
    for row, (example, windows) in enumerate(zip(examples, _windows(examples, processor), strict=True), start):
        labels = label_names(example.label) or ("no label",)
        labels = tuple(one_line([label], 60) for label in labels)  # a document is long
        seen = sum(window.tokens - window.shared + window.truncated for window in windows or ())
        lost = sum(window.truncated for window in windows or ())
        counted.rows += 1
        counted.total += seen
        for label in labels:
            counted.seen[label] += seen
            counted.lost[label] += lost
        if processor.unknown_id is not None:
            counted.unknown += sum(int((window.input_ids == processor.unknown_id).sum()) for window in windows or ())
        if windows is None or len(windows) > 1 or lost:
            counted.longer += 1
            if len(counted.shown) < EXAMPLES:
                counted.shown.append(excerpt(split, row))
        if windows and (parts := placed(example.label)):
            counted.spans += len(parts)
            for told in _unmarked(example, parts, windows, task):
                counted.unmarked += 1
                if len(counted.unmarked_shown) < EXAMPLES:
                    counted.unmarked_shown.append(f"{example.id}: {told}")


def _unmarked(example: Example, parts: Sequence[Span | Answer], windows: Sequence[Any], task: Task) -> Iterator[str]:
    """Each span that no whole tokens and units (core/spans.py) mark, as "'3' → '3kg'": with what they would.

    What is cut off behind the window is no matter of edges. Of several answers one that can be marked, or nearly so, is enough.
    """
    roles = list(example.inputs)
    role = task.located or roles[0]
    text = str(example.inputs[role])
    places = _places(text, windows, roles.index(role))
    seen = len(text) if not any(window.truncated for window in windows) else places[:, 1].max(initial=0)
    off = []
    for part in parts:
        touched = places[(places[:, 0] < part.end) & (places[:, 1] > part.start)]
        start, end = (int(touched[:, 0].min()), int(touched[:, 1].max())) if len(touched) else (part.start, part.start)
        if part.end <= seen and (start, end) != (part.start, part.end):
            off.append((part, Answer(text[start:end], start, end)))
    if isinstance(parts[0], Answer):
        enough = len(off) < len(parts) or any(task.measures.right(example.label, said) for _, said in off)
        off = [] if enough else off[:1]
    for part, said in off:
        yield f"{text[part.start : part.end][:60]!r} → {said.text[:60]!r}"


def _places(text: str, windows: Sequence[Any], which: int) -> np.ndarray:
    """(units, 2) characters of what the windows can mark in the first or the second text."""
    inside = spans.bounds(text)
    own = [window.offsets * (window.second == which)[:, None] for window in windows]
    return np.concatenate([spans.units(text, inside, offsets).places for offsets in own])


def _span_edges(counted: _Tokens, backbone: str) -> Finding:
    told = (
        f"{counted.unmarked:,} of {plural(counted.spans, 'span')} looked at can never be found exactly: they begin or end inside "
        f"a token of {backbone}, or inside a word or number, and these are marked whole (→ what would be found). Move their "
        "edges, or take another model.backbone."
    )
    zh = (
        f"看过的 {counted.spans} 个片段中有 {counted.unmarked} 个永远无法被准确找出：其边界落在 {backbone} 的词元内部，"
        "或落在单词、数字内部，而它们只能整体标注（→ 之后是会找出的内容）。请调整边界，或换一个 model.backbone。"
    )
    return Finding("span_edges", "warning", counted.unmarked, tuple(counted.unmarked_shown), Note(told, zh))


def _windows(examples: Sequence[Any], processor: Any) -> list[Any]:
    """Every example's windows; None for one that data.overflow: refuse does not let through."""
    found: list[Any] = []
    for _, alike in itertools.groupby(examples, key=lambda example: tuple(example.inputs)):  # rows of one task
        found += _windows_of(list(alike), processor)
    return found


def _windows_of(examples: Sequence[Any], processor: Any) -> list[Any]:
    columns = [
        [str(value) for value in column]
        for column in zip(*(example.inputs.values() for example in examples), strict=True)
    ]
    try:
        return processor.encode(*columns)
    except DataError:
        if len(examples) == 1:
            return [None]
        return [window for example in examples for window in _windows_of([example], processor)]


def _truncation(counted: _Tokens, processor: Any) -> Finding:
    lost, seen = sum(counted.lost.values()), max(1, sum(counted.seen.values()))
    told = f"{counted.longer} of {counted.rows} rows looked at are longer than {processor.max_tokens} tokens; "
    zh = f"看过的 {counted.rows} 条中有 {counted.longer} 条超过 {processor.max_tokens} 个词元；"
    if not lost:
        zh += "它们会分成几个窗口读取（data.overflow: split），不会丢失内容。"
        told += "they are read in several windows (data.overflow: split), so nothing is lost."
        return Finding("truncation", "note", counted.longer, tuple(counted.shown), Note(told, zh))
    worst = sorted(counted.lost, key=lambda label: counted.lost[label] / max(1, counted.seen[label]), reverse=True)[:3]
    by_label = ", ".join(f"{label!r} {counted.lost[label] / max(1, counted.seen[label]):.1%}" for label in worst)
    told += f"{lost} tokens ({lost / seen:.1%}) would be cut off, most of {by_label}. data.overflow: split loses none."
    zh += f"会截掉 {lost} 个词元（{lost / seen:.1%}），最多的是 {by_label}。data.overflow: split 不会丢失内容。"
    return Finding("truncation", "warning", counted.longer, tuple(counted.shown), Note(told, zh))
