"""Adapt a pretrained model to your task, and prove that what you ship is better than what you had.

    import tunewright

    outcome = tunewright.train("recipe.yaml")
    print(outcome.sentence)
    model = tunewright.load(outcome.bundle)
    print(model.predict(["I lost my card"])[0].value)

Names come in when they are first used: `import tunewright` alone loads neither torch nor anything else that is heavy.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Threads that wait for each other sleep in place of spinning. It has to be said before torch starts its threads; on two
# cores that other programs use too, a training step is then many times as fast (benchmarks/speed/waiting.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# No library tells its makers what runs here, unless a user has set these otherwise. ONNX Runtime would (its Privacy.md), from
# its start on; the hub's client and MLflow heed the second. OpenVINO has no such variable: components/runtimes/openvino.py.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DO_NOT_TRACK", "true")

if TYPE_CHECKING:
    from tunewright import sklearn as sklearn
    from tunewright.apps.api import combine as combine
    from tunewright.apps.api import compress as compress
    from tunewright.apps.api import export as export
    from tunewright.apps.api import load as load
    from tunewright.apps.api import search as search
    from tunewright.apps.api import train as train
    from tunewright.core.errors import BundleError as BundleError
    from tunewright.core.errors import DataError as DataError
    from tunewright.core.errors import LabelError as LabelError
    from tunewright.core.errors import MachineError as MachineError
    from tunewright.core.errors import ModelError as ModelError
    from tunewright.core.errors import RecipeError as RecipeError
    from tunewright.core.errors import Refused as Refused
    from tunewright.core.errors import TrainingError as TrainingError
    from tunewright.core.errors import TunewrightError as TunewrightError
    from tunewright.core.errors import UsageError as UsageError
    from tunewright.core.recipe import Recipe as Recipe
    from tunewright.core.types import Example as Example
    from tunewright.core.types import Prediction as Prediction

# Public name → the module it stands in.
_HOMES = {
    **dict.fromkeys(("train", "search", "combine", "compress", "export", "load"), "tunewright.apps.api"),
    "Recipe": "tunewright.core.recipe",
    **dict.fromkeys(("Example", "Prediction"), "tunewright.core.types"),
    **dict.fromkeys(
        (
            "TunewrightError", "UsageError", "RecipeError", "DataError", "LabelError", "ModelError", "BundleError",
            "TrainingError", "MachineError", "Refused",
        ),
        "tunewright.core.errors",
    ),
}  # fmt: skip
__all__ = ["__version__", "sklearn", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "sklearn":
        return importlib.import_module("tunewright.sklearn")
    if name not in _HOMES:
        raise AttributeError(f"module 'tunewright' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
