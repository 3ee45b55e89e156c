"""Parameter groups: which learning rate and weight decay each parameter gets."""

from __future__ import annotations

from typing import Any

from torch import nn

from tunewright.models import surgery
from tunewright.models.model import Model


def parameter_groups(
    model: Model, *, learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Groups of the parameters that train, for an optimizer.

    No decay on norms and biases (one-dimensional parameters). With `layer_decay` d < 1 the rate of a layer that lies n
    layers below the head is `learning_rate * d**n` (ULMFiT, Howard and Ruder 2018); embeddings lie below all layers.
    """
    depth = len(surgery.layers(model.backbone))
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.trained_parameters().items():
        decay = weight_decay if parameter.ndim > 1 else 0.0
        rate = learning_rate * layer_decay ** surgery.below_top(name, depth)
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]


def auto_learning_rate(width: int, advice: float | None, wanted: float) -> float:
    """The learning rate that `learning_rate: auto` means.

    advice: the packaged backbone's own for full fine-tuning; else 2e-5 at BERT's width of 768 and, as updates of wider
    networks must be smaller, proportional to 1 / width². wanted: what method and task ask for, relative to full fine-tuning.
    """
    base = advice or min(2e-5 * (768 / width) ** 2, 5e-3)
    return base * wanted
