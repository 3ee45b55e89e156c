"""Labels described in words, as examples of themselves: what is known of a label before any row."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.core.contracts import Task
from tunewright.core.errors import RecipeError, listing, nearest
from tunewright.core.types import Example

Descriptions = tuple[tuple[str, str], ...]  # pairs of a label and what it is about


def described(
    task: Task, labels: Sequence[str], descriptions: Descriptions = (), template: str = "{}"
) -> list[Example]:
    """One example a label, for a task of a single text: its description, or its name as words, put into the template.

    Raises RecipeError for a description of no label.
    """
    given = dict(descriptions)
    if unknown := [label for label in given if label not in labels]:
        raise RecipeError(
            f"train.start.descriptions: there is no label {unknown[0]!r}.{nearest(unknown[0], labels)} "
            f"Known: {listing(labels)}."
        )
    [role] = task.inputs
    texts = [template.replace("{}", given.get(label, _words(label))) for label in labels]
    return [
        Example(f"label {label}", {role: text}, (label,) if task.multi_label else label)
        for label, text in zip(labels, texts, strict=True)
    ]


def _words(label: str) -> str:
    """A label's name as words: "credit_card-lost" is "credit card lost"."""
    return " ".join(label.replace("_", " ").replace("-", " ").split()) or label
