"""Labels described in words, as examples of themselves: what is known of a label before any row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tunewright.core.contracts import Task
from tunewright.core.errors import RecipeError, listing, nearest
from tunewright.core.types import Example

Descriptions = tuple[tuple[str, str], ...]  # pairs of a label and what it is about


def described(
    task: Task, labels: Sequence[str], descriptions: Descriptions = (), template: str = "{}"
) -> list[Example]:
    """One example a label, for a task of a single text: its description, or its name as words, put into the template."""
    given = dict(descriptions)
    [role] = task.inputs
    texts = [template.replace("{}", given.get(label, as_words(label))) for label in labels]
    return [
        Example(f"label {label}", {role: text}, (label,) if task.multi_label else label)
        for label, text in zip(labels, texts, strict=True)
    ]


def check_descriptions(descriptions: Descriptions, labels: Sequence[str]) -> None:
    """Raise RecipeError for a description of no label, and for a second one of a label."""
    named = [label for label, _ in descriptions]
    check_labels(named, labels, "train.start.descriptions")
    if (twice := next((label for label in named if named.count(label) > 1), None)) is not None:
        raise RecipeError(
            f"train.start.descriptions: {twice!r} is described {named.count(twice)} times. Join these into one, or keep one."
        )


def check_labels(named: Iterable[str], labels: Sequence[str], key: str) -> None:
    """Raise RecipeError where a setting names what is no label. key: the setting's, as "train.start.descriptions"."""
    if (unknown := next((label for label in named if label not in labels), None)) is not None:
        raise RecipeError(f"{key}: there is no label {unknown!r}.{nearest(unknown, labels)} Known: {listing(labels)}.")


def as_words(label: str) -> str:
    """A label's name as words: "credit_card-lost" is "credit card lost"."""
    return " ".join(label.replace("_", " ").replace("-", " ").split()) or label
