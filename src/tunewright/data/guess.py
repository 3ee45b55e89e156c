"""Guess what is not said: which columns hold the text and the label, and which task the rows are for. With reasons."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunewright.core.contracts import Task
from tunewright.core.errors import DataError, listing, nearest
from tunewright.core.types import Note
from tunewright.data.answers import answers_in
from tunewright.data.cell import is_empty, plain
from tunewright.data.places import ENDS, located

NAMES: dict[str, tuple[str, ...]] = {
    "text": (
        "text", "content", "sentence", "review", "utterance", "query", "question", "comment", "message", "tweet",
        "document", "body", "input", "abstract", "description", "title", "headline", "文本", "内容", "正文", "句子",
        "评论", "评价", "问题", "标题", "摘要", "语句", "tokens", "words",
    ),
    "label": (
        "label", "labels", "category", "class", "intent", "sentiment", "tag", "tags", "topic", "target", "label_name",
        "label_text", "emotion", "categories", "score", "similarity", "genre", "genres", "y", "output", "标签", "类别", "分类", "类目",
        "情感", "意图", "主题", "rating", "分数", "相似度",
    ),
    "intent": ("intent", "intents", "intent_label", "意图"),
    "slots": ("slots", "slot", "slot_tags", "slot_labels", "tags", "entities", "spans", "ner_tags", "labels", "槽位", "实体"),
    "spans": ("spans", "entities", "ner_tags", "tags", "labels", "label", "ner", "实体"),
    "entities": ("entities", "spans", "entity_mentions", "ner", "ner_tags", "实体"),
    "triples": ("triples", "relations", "relation_mentions", "三元组", "关系"),
    "text_a": ("text_a", "sentence1", "sentence_a", "premise", "question1", "text1", "query", "left"),
    "head": ("head", "e1", "subject", "头实体"),
    "tail": ("tail", "e2", "object", "尾实体"),
    "relation": ("relation", "predicate", "关系"),
    "query": ("query", "question", "text_a", "sentence1", "问题", "提问", "查询"),
    "document": ("document", "passage", "answer", "text_b", "sentence2", "text", "content", "文档", "段落", "答案", "回答"),
    "match": ("match", "matches", "relevant", "relevance", "label", "匹配"),
    "question": ("question", "query", "问题", "提问"),
    "context": ("context", "passage", "paragraph", "document", "article", "text", "content", "上下文", "文章", "段落", "原文", "材料"),
    "answer": ("answer", "answers", "answer_text", "答案", "回答"),
    "text_b": ("text_b", "sentence2", "sentence_b", "hypothesis", "question2", "text2", "passage", "right"),
}  # fmt: skip
# What columns of queries and of documents are called, where no column of the rows can be a label.
SEARCHED = (
    ("query", "question", "问题", "查询", "提问"),
    ("document", "passage", "answer", "文档", "段落", "答案", "回答"),
)
_SEPARATORS = ("|", ";", ",", "、", "；", "，")
_LEVELS = ("/", ">", "::")
_TAG = re.compile(r"^(O|[BIESLUM]-\S+)$")


@dataclass(frozen=True)
class Columns:
    """Which column plays which role, and why. of: role → column; reasons: one phrase each, for those guessed."""

    of: dict[str, str]
    reasons: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class TaskGuess:
    """The task that rows seem to be for: its recipe name, settings that differ from the defaults, and why."""

    name: str
    settings: dict[str, Any]
    reason: str


def guess_columns(
    rows: Sequence[Mapping[str, Any]],
    task: Task,
    given: Mapping[str, str] | None = None,
    *,
    source: str = "the data",
    with_target: bool = True,
) -> Columns:
    """Return the column of every role of `task`: those `given`, the others by their names and by what they hold.

    rows: a sample of rows as column → value; with_target: whether the label's columns are needed (not when predicting).
    Raises DataError when a given column is not there (with the nearest name), or when nothing fits a role.
    """
    given = dict(given or {})
    names = list(dict.fromkeys(name for row in rows for name in row))
    known = (*task.inputs, *task.targets)
    needed = known if with_target else task.inputs
    for role, column in given.items():
        if role not in known:
            raise DataError(f"data.columns names the role {role!r}, and the task's roles are {listing(known)}."
                            f"{nearest(role, known)}")  # fmt: skip
        if role in needed:
            require_column(column, names, source, f"data.columns.{role}")
    chosen = {role: given[role] for role in needed if role in given}
    for role, column in chosen.items():
        if twin := next((other for other in chosen if other != role and chosen[other] == column), None):
            raise DataError(f"data.columns names {column!r} for {role} and for {twin}: each needs a column of its own.")
    reasons: list[Note] = []
    # The label is looked for first: what is left then is text.
    for role in sorted((role for role in needed if role not in chosen), key=lambda role: role not in task.targets):
        free = [name for name in names if name not in chosen.values()]
        found, is_target = _by_name(role, free), role in task.targets
        if len(task.rows) > 1:  # not every row has every role: what it has is told by names alone
            if found is None:
                continue
        elif is_target:
            found = found or _label_like(rows, free)
        elif role in NAMES:  # a role with a name of the user's own is looked for by that name alone
            found = found or _text_like(rows, free)
        if found is None:
            raise DataError(_nothing_fits(role, is_target, source, names, rows))
        chosen[role], why = found
        if why:
            column = repr(chosen[role])
            reasons.append(Note(f"column {column} is taken for {role}: {why}", f"把 {column} 列当作 {role}：{why.zh}"))
    if not any(chosen.keys() >= {*inputs} for inputs in task.rows):
        raise DataError(
            _nothing_fits(next(role for role in task.inputs if role not in chosen), False, source, names, rows)
        )
    if with_target and not any(role in chosen for role in task.targets):
        raise DataError(_nothing_fits(task.targets[0], True, source, names, rows))
    return Columns({role: chosen[role] for role in needed if role in chosen}, reasons)


def require_column(column: str, names: Sequence[str], source: str, key: str) -> None:
    """Raise DataError with the nearest name unless `column` is among `names`; `key` is what the recipe calls it."""
    if column not in names:
        raise DataError(
            f"{source} has no column {column!r}.{nearest(column, names)} Its columns: {listing(names)}. Mend {key}."
        )


def require_beside(task: Task, names: Sequence[str], source: str) -> None:
    """Raise DataError with the nearest name unless every column that the task reads beside its inputs is among `names`."""
    for column in task.beside.columns:
        if column not in names:
            raise DataError(
                f"{source} has no column {column!r}, which is read beside the text.{nearest(column, names)} "
                f"Its columns: {listing(names)}."
            )


def guess_task(rows: Sequence[Mapping[str, Any]], target: str | None = None, *, source: str = "the data") -> TaskGuess:
    """Return the task that sample rows are for: question_answering where questions have answers in contexts,
    token_classification where a column holds spans, slot_filling where an intent stands beside them, triples where relations
    between them do, relation_extraction, matching or sentence_pair where columns are named so, else text_classification, multi_label or not.

    target: the label's column, where it is known. Raises DataError when there is no column that could be a label.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    if asked := _named(("question", "context", "answer"), names):
        known = [row for row in rows if not is_empty(row.get(asked[2]))]
        found = [answers for row in known if (answers := _answers_of(row, *asked[1:])) is not None]
        if any(found) and len(found) > len(known) / 2:
            settings, more = ({}, "") if all(found) else ({"no_answer": True}, ", or none")
            why = f"column {asked[2]!r} holds answers that stand in column {asked[1]!r}{more}"
            return TaskGuess("question_answering", settings, why)
    if not target and (pair := _named(("intent", "slots"), names)) and _hold_slots(rows, pair[1]):
        return TaskGuess("slot_filling", {}, f"column {pair[0]!r} is an intent, and column {pair[1]!r} holds slots")
    if not target and (pair := _named(("entities", "triples"), names)) and _hold_relations(rows, pair):
        why = f"column {pair[0]!r} holds entities inside the text, and column {pair[1]!r} the relations between them"
        return TaskGuess("triples", {}, why)
    for name in [target] if target else names:
        values = [row.get(name) for row in rows if not is_empty(row.get(name))]
        if values and (_is_spans(values) or _is_tags(values)):
            return TaskGuess("token_classification", {}, f"column {name!r} holds spans or tags inside the text")
    if ends := _named(("head", "tail", "relation"), names):
        return TaskGuess("relation_extraction", {}, f"columns {ends[0]!r} and {ends[1]!r} are two ends of a relation")
    if not target and (pair := _searched(rows, names)):
        judged = column_named("match", [name for name in names if name.lower() in ("match", "匹配")])
        why = f"column {pair[0]!r} holds queries, and column {pair[1]!r} what answers them"
        return TaskGuess("matching", {"match": True} if judged else {}, why)
    if pair := _named(("text_a", "text_b"), names):
        why = f"columns {pair[0]!r} and {pair[1]!r} are a pair of texts"
        named = _by_name("label", names)
        column = target or (named and named[0])
        if column and _are_degrees([row.get(column) for row in rows if not is_empty(row.get(column))]):
            return TaskGuess("sentence_pair", {"regression": True}, f"{why}, and column {column!r} holds numbers")
        return TaskGuess("sentence_pair", {}, why)
    found = (target, None) if target else _by_name("label", names) or _label_like(rows, names)
    if found is None:
        raise DataError(_nothing_fits("label", True, source, names, rows))
    column = found[0]
    values = [row.get(column) for row in rows if not is_empty(row.get(column))]
    lists = [value for value in values if isinstance(value, (list, tuple))]
    if len(lists) > len(values) / 2 and max(map(len, lists)) > 1:
        return TaskGuess("text_classification", {"multi_label": True}, f"column {column!r} holds lists of labels")
    separator = guess_separator([str(value) for value in values])
    if separator:
        settings = {"multi_label": True, "separator": separator}
        return TaskGuess(
            "text_classification", settings, f"column {column!r} holds several labels, joined by {separator!r}"
        )
    if levels := _levels([str(value) for value in values]):
        why = f"column {column!r} holds labels of several levels, joined by {levels!r}"
        return TaskGuess("text_classification", {"levels": levels}, why)
    return TaskGuess("text_classification", {}, f"column {column!r} holds one label a row")


def _named(roles: Sequence[str], names: Sequence[str]) -> list[str]:
    """The columns that are named as these roles; [] unless all of them are there."""
    found = [_by_name(role, names) for role in roles]
    return [one[0] for one in found if one] if all(found) else []


def _searched(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """The columns of queries and of the documents that answer them; [] unless their names say so and no column is a label."""
    folded = {name.strip().lower(): name for name in reversed(list(names))}
    found = [next((folded[word] for word in words if word in folded), None) for words in SEARCHED]
    others = [name for name in names if name.strip().lower() not in ("match", "匹配")]
    if None in found or _by_name("label", others) or _label_like(rows, others):
        return []
    return [name for name in found if name]


def _answers_of(row: Mapping[str, Any], context: str, answer: str) -> tuple | None:
    """The answers in a row's cell; None where there are none that stand in its context."""
    try:
        return answers_in(plain(row.get(answer)), located(row.get(context)))
    except DataError:
        return None


def _are_degrees(values: Sequence[Any]) -> bool:
    """Whether cells hold numbers of a scale: fractions among them, or five whole ones and more, which classes rarely are."""
    try:
        numbers = [float(str(value)) for value in values]
    except ValueError:
        return False
    return any(number % 1 for number in numbers) or len(set(numbers)) > 4


def guess_separator(cells: Sequence[str]) -> str:
    """Return the mark that joins several labels in one cell, or "" when the cells hold one each.

    It must occur in two cells at least, and the parts must be fewer than the cells' own forms: parts come back.
    """
    whole = set(cells)
    for mark in _SEPARATORS:
        joined = [cell for cell in cells if mark in cell]
        if len(joined) < max(2, 0.01 * len(cells)):
            continue
        parts = [[part.strip() for part in cell.split(mark)] for cell in cells]
        flat = [part for several in parts for part in several]
        names = Counter(flat)
        if any(not part or len(part) > 60 for part in flat) or any(len(set(some)) < len(some) for some in parts):
            continue
        of_joined = [part for several in parts if len(several) > 1 for part in several]
        again = sum(names[part] > 1 for part in of_joined) / len(of_joined)
        if len({part for part in names}) < len(whole) and again > 0.8:
            return mark
    return ""


def _levels(cells: Sequence[str]) -> str:
    """The mark that joins the levels of labels, or "": every label has it, and the upper levels come back."""
    labels = set(cells)
    for mark in _LEVELS:
        tops = {label.partition(mark)[0].strip() for label in labels if mark in label and not label.endswith(mark)}
        if all(mark in label for label in labels) and all(tops) and 2 <= len(tops) <= len(labels) / 1.5:
            return mark
    return ""


def column_named(role: str, names: Sequence[str]) -> str | None:
    """The column that is named as this role, or None."""
    found = _by_name(role, names)
    return found and found[0]


def _by_name(role: str, names: Sequence[str]) -> tuple[str, Note | None] | None:
    folded = {name.strip().lower(): name for name in reversed(list(names))}
    for known in (role, *NAMES.get(role, ())):
        if known in folded:
            return folded[known], None if known == role else Note("its name says so", "列名如此")
    return None


def _label_like(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[str, Note] | None:
    """The column whose few, short values come back."""
    best: tuple[float, str, int] | None = None
    for name in names:
        values = [str(row.get(name)).strip() for row in rows if not is_empty(row.get(name))]
        if len(values) < max(2, len(rows) / 2):
            continue
        different = len(set(values))
        length = sum(map(len, values)) / len(values)
        if different < 2 or different > 0.5 * len(values) or length > 40 or name.lower().endswith(("_id", "id")):
            continue
        score = different / len(values)
        if best is None or score < best[0]:
            best = (score, name, different)
    if best is None:
        return None
    return best[1], Note(f"its {best[2]} values come back", f"它的 {best[2]} 个取值反复出现")


def _text_like(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[str, Note] | None:
    """The column with the longest texts that differ."""
    best: tuple[float, str, float] | None = None
    for name in names:
        values = [row[name] for row in rows if isinstance(row.get(name), str) and row[name].strip()]
        if len(values) < max(1, len(rows) / 2) or all(_number(value) for value in values):
            continue
        length = sum(map(len, values)) / len(values)
        score = length * len(set(values)) / len(values)
        if best is None or score > best[0]:
            best = (score, name, length)
    if best is None:
        return None
    mean = f"{best[2]:.0f}"
    return best[1], Note(
        f"it holds the longest texts ({mean} characters on average)", f"它的文本最长（平均 {mean} 个字符）"
    )


def _nothing_fits(
    role: str, is_target: bool, source: str, names: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> str:
    if len(names) == 1:
        return (
            f"{source} has a single column ({names[0]!r}): a text and a label are needed. "
            'If columns are joined by another delimiter, name it: data.reader: {name: csv, delimiter: ";"}.'
        )
    if is_target:
        return (
            f"{source} seems to have no labels: no column of few values that come back. Its columns: {listing(names)}. "
            f"Name the label's column under data.columns, as {{{role}: NAME}}; "
            "rows without labels are for `tunewright predict`."
        )
    return (
        f"{source} has no column that could be {role!r}.{nearest(role, names)} Its columns: {listing(names)}. "
        f"Name it under data.columns, as {{{role}: {names[0] if names else 'name'}}}."
    )


def _number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _hold_slots(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Whether a column holds spans or tags inside the text, or texts by the names of their slots."""
    values = [value for row in rows if not is_empty(value := row.get(column)) and value not in ([], {})]
    by_name = bool(values) and all(isinstance(value, Mapping) and not _is_span(value) for value in values)
    return by_name or _is_spans(values) or _is_tags(values)


def _hold_relations(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bool:
    """Whether a column holds spans or tags inside the text, and another one relations with two ends."""
    entities, relations = ([v for row in rows if not is_empty(v := row.get(name))] for name in columns)
    parts = [part for value in relations if isinstance(value, (list, tuple)) for part in value]
    between = bool(parts) and all(isinstance(part, Mapping) and {"head", "tail"} <= part.keys() for part in parts)
    return between and (_is_spans(entities) or _is_tags(entities))


def _is_spans(values: Sequence[Any]) -> bool:
    lists = [value for value in values if isinstance(value, (list, tuple))]
    parts = [part for value in lists for part in value]
    return bool(parts) and all(map(_is_span, parts))


def _is_span(part: Any) -> bool:
    if isinstance(part, (list, tuple)):
        return len(part) == 3 and all(type(end) is int for end in part[:2])
    return isinstance(part, Mapping) and any(set(names) <= set(part) for names in ENDS)


def _is_tags(values: Sequence[Any]) -> bool:
    lists = [value for value in values if isinstance(value, (list, tuple)) and value]
    if len(lists) < len(values) / 2:
        return False
    flat = [part for value in lists for part in value]
    return all(isinstance(part, str) and _TAG.match(part) for part in flat) and any(part != "O" for part in flat)
