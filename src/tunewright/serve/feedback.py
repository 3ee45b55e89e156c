"""The right label for an answer that was given (POST /v1/models/{name}/feedback): kept as lines of JSON that can be trained on.

Every answer has an id while the server keeps feedback. A line holds the label, what was answered, and by whom it was said; the
texts, masked, only where the server was told to keep them.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from tunewright.core.bundle import Bundle
from tunewright.core.contracts import Task
from tunewright.core.errors import DataError, MachineError, listing, nearest
from tunewright.core.files import append_json, check_appendable
from tunewright.core.masking import mask
from tunewright.core.run import now
from tunewright.core.types import Example, Label, Prediction, by_name, label_names, placed
from tunewright.data.cell import is_unicode
from tunewright.serve import schemas
from tunewright.serve.http import answer, read_json
from tunewright.serve.keys import CALLER
from tunewright.serve.limits import ECHO, RequestError, invalid, known_fields, optional, texts
from tunewright.serve.store import DAYS, Store

if TYPE_CHECKING:
    from tunewright.serve.service import Answered, Service

MOST = 10_000  # characters of a label
BYTES = 12  # of an id: nobody finds another's by trying
ID = re.compile(r"([A-Za-z0-9_-]{16})\.([0-9]{1,4})")


class Feedback:
    """Answers that wait for a label (in `store`), and the file of those that have one. texts: keep what was asked, masked.

    Raises MachineError for a file that cannot be added to.
    """

    def __init__(self, store: Store, file: Path, texts: bool = False) -> None:
        check_appendable(file)
        self._store, self._file, self._texts = store, file, texts

    def remember(self, said: Answered) -> str:
        """Keep what was answered; gives the id of the whole, of which each row's is made."""
        id = secrets.token_urlsafe(BYTES)
        rows = [self._row(one) for one in said.said]
        self._store.remember(id, {"model": said.version.name, "version": said.version.id, "rows": rows})
        return id

    def _row(self, said: str | tuple[Example, Prediction]) -> dict[str, Any] | None:
        """What is kept of a row: names of labels, and no stretch of its text unless texts are kept. None: it has no answer."""
        if isinstance(said, str):
            return None
        example, prediction = said
        value, score = prediction.given
        inputs = {role: mask(text).text for role, text in example.inputs.items()} if self._texts else {}
        return {"said": label_names(value), "score": score, "decision": prediction.decision, "inputs": inputs}

    def add(self, service: Service, name: str, id: str, label: Any, target: str | None = None) -> dict[str, Any]:
        """Keep the right label for an answer, or of a model with several targets the one for `target`; gives what was kept.

        Raises RequestError for an answer that is not known, a label that its model does not have, and a file that cannot
        be written.
        """
        known = ID.fullmatch(id)
        about = self._store.recall(known[1]) if known else None
        place = int(known[2]) if known else 0
        row = about["rows"][place] if about and place < len(about["rows"]) else None
        if about is None or row is None or about["model"] != name:
            raise RequestError(404, "no_such_answer", f"{name} gave no such answer within {DAYS} days.")
        bundle = service.repository.model(name).current.bundle
        columns = _columns(bundle.task, label, target)
        _require_label(bundle, row["inputs"], columns)
        key = CALLER.get()
        told = {"id": id, "at": now(), "by": key.who if key else None, "model": name, "version": about["version"]}
        told |= {"said": row["said"], "score": row["score"], "decision": row["decision"]}
        try:
            append_json(self._file, {**row["inputs"], **columns, "feedback": told})
        except (MachineError, OSError):
            raise RequestError(503, "feedback", "Feedback cannot be written now; nothing was kept.") from None
        return {"id": id, "label": label, **({} if target is None else {"target": target})}


def router(service: Service) -> APIRouter:
    """The route, for this service."""
    routes = APIRouter(responses=schemas.fails())

    @routes.post(
        "/v1/models/{name}/feedback",
        openapi_extra=schemas.body(schemas.FEEDBACK),
        responses=schemas.gives(schemas.FEEDBACK),
    )
    async def feedback(request: Request, name: str) -> Response:
        """Say which label is right for an answer. Of several for one answer, the last counts."""
        told = known_fields(await read_json(request, service.limits), schemas.FEEDBACK["properties"], "The request")
        asked = optional(told, (("target", str, "a text"),))
        service.repository.model(name)
        if service.feedback is None:
            raise RequestError(403, "no_feedback", "This server keeps no feedback: start it with --feedback FILE.")
        if not isinstance(asked.get("id"), str) or asked.get("label") is None:
            raise invalid('Feedback is {"id": the id of an answer, "label": the right one}.')
        kept = await asyncio.to_thread(
            service.feedback.add, service, name, asked["id"], asked["label"], asked.get("target")
        )
        return answer(kept)

    return routes


def _columns(task: Task, label: Any, target: str | None) -> dict[str, Any]:
    """The columns of a row of training data that the label fills. Raises RequestError with the task's own names."""
    targets = task.targets
    if target is not None:
        found = {target: label}
    elif len(targets) == 1:
        found = {targets[0]: label}
    elif isinstance(label, Mapping):
        found = dict(label)
    else:
        raise invalid(
            f'This model gives {listing(targets)}: say "target", or give "label" as an object of their names.'
        )
    unknown = next((name for name in found if name not in targets), None)
    if unknown is not None:
        near = nearest(unknown[:ECHO], targets)
        raise invalid(f"This model has no target {unknown!r:.{ECHO}}.{near} Targets: {listing(targets)}.")
    if not found or (len(found) < len(targets) and not _by_themselves(task)):
        whole = "one of" if _by_themselves(task) else "all of"
        raise invalid(f'"label" must be an object with {whole} {listing(targets)}.')
    return found


def _by_themselves(task: Task) -> bool:
    """Whether a row may have a label for one of its targets alone."""
    return len(task.rows) > 1


def _require_label(bundle: Bundle, inputs: Mapping[str, str], columns: Mapping[str, Any]) -> None:
    """Raise RequestError unless these are labels that a row of the model's training data could have."""
    task, given = bundle.task, list(columns.values())
    if not is_unicode(given) or sum(map(len, texts(given))) > MOST:
        raise invalid("Feedback takes one label an answer, of this model's own kind.")
    try:
        read = _read(task, inputs, columns)
    except (DataError, TypeError, AttributeError):
        raise invalid("The label is not one that this model's rows can have.") from None
    if placed(read) and not inputs:
        raise invalid("A label with places in a text needs a server that keeps texts (--keep-texts).")
    if read is None or None in given or None in (by_name(read) or {}).values():
        raise invalid("The label is empty.")
    unknown = next((one for one in label_names(read) if task.classes and one not in bundle.labels), None)
    if unknown is not None:
        known = bundle.labels
        raise invalid(
            f"There is no label {unknown!r:.{ECHO}}.{nearest(unknown[:ECHO], known)} Labels: {listing(known)}."
        )


def _read(task: Task, inputs: Mapping[str, str], columns: Mapping[str, Any]) -> Label:
    """The label as the task reads it from a row, whose inputs may not have been kept."""
    if not _by_themselves(task):
        return task.read({**dict.fromkeys(task.inputs), **inputs, **columns})[1]
    tasks = dict(zip(task.targets, task.parts.tasks, strict=True))  # type: ignore[union-attr]
    return {
        name: own.read({**{role: inputs.get(role) for role in own.inputs}, own.target: columns[name]})[1]
        for name, own in tasks.items()
        if name in columns
    }
