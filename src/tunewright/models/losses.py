"""Losses and divergences of logits that several objectives share."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

IGNORED = -100  # label of positions that have none (special tokens)


def softmax_losses(
    logits: Tensor, labels: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of every position: logits (…, labels) and labels (…) → (…); 0 where the label is IGNORED."""
    return functional.cross_entropy(
        logits.flatten(0, -2),
        labels.flatten(),
        weight=class_weights,
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
        reduction="none",
    ).view(labels.shape)


def softmax_divergence(first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
    """Mean of both Kullback-Leibler divergences between two softmax outputs of every example (batch,)."""
    p, q = first.log_softmax(dim=-1), second.log_softmax(dim=-1)
    apart = ((p.exp() - q.exp()) * (p - q)).sum(dim=-1) / 2
    return of_examples(apart.masked_fill(labels == IGNORED, 0.0), labels)


def sigmoid_divergence(first: Tensor, second: Tensor) -> Tensor:
    """The same between two answers of a yes or no for each label, averaged over the labels: (batch, labels) → (batch,)."""
    return ((first.sigmoid() - second.sigmoid()) * (first - second)).mean(dim=-1) / 2


def of_examples(losses: Tensor, labels: Tensor) -> Tensor:
    """One number an example: losses of tokens (batch, tokens) are averaged over those that have a label."""
    if losses.ndim == 1:
        return losses
    real = labels != IGNORED
    return losses.sum(dim=1) / real.sum(dim=1).clamp(min=1)
