"""The space that a search without one of its own tries: what is worth trying for this task on this backbone."""

from __future__ import annotations

from typing import Any

from tunewright.core import catalog
from tunewright.core.recipe_file import value_at
from tunewright.core.space import TIMES
from tunewright.data.dataset import Dataset
from tunewright.models import surgery
from tunewright.models.model import Model
from tunewright.stages.assemble import Plan, label_counts

METHODS = ("full", "lora")  # beside the recipe's own, where the network has layers to adapt
BATCHES = (16, 32, 64)  # examples; beside the recipe's own
STEPS = 8  # an epoch has at least so many, or the batch is not tried
UNEVEN = 2  # times the rows of the smallest class, from which weighing classes is tried


def default_space(plan: Plan, dataset: Dataset, network: Model) -> dict[str, Any]:
    """Dotted key → choices or range, as `search.space` takes them; the recipe's own values are among them.

    Epochs are not among them: early stopping ends each trial at its own time.
    """
    recipe, rows = plan.recipe, dataset.splits["train"]
    space: dict[str, Any] = {TIMES: {"low": 0.25, "high": 4.0, "log": True, "times": "auto"}}
    space["train.batch_size"] = [size for size in BATCHES if size * STEPS <= len(rows)]
    if surgery.layers(network.backbone):
        space["train.method"] = [name for name in METHODS if catalog.create("methods", name) != recipe.train.method]
        space |= {"train.layer_decay": [1.0, 0.9, 0.8], "model.dropout": [0.0, 0.1]}
    counts = label_counts(rows)
    if recipe.task.scored and max(counts.values()) >= UNEVEN * min(counts.values()):
        space["train.class_weights"] = ["none", "balanced"]
    for key, values in space.items():
        own = value_at(recipe, key)
        if isinstance(values, list) and own not in values:
            values.insert(0, own)
    return {key: values for key, values in space.items() if len(values) > 1}
