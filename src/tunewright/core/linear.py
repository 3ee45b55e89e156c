"""Regularised logistic regression, softmax or one yes-or-no per label, on dense or sparse features.

Used by baselines, and to start a head from a linear probe. Our own L-BFGS (Liu and Nocedal 1989) in float32: all labels
share each matrix product, and a path from strong to weak regularisation starts each fit from the last one, which is
several times faster than fitting anew. C means what it does in scikit-learn: the inverse of the weight penalty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.core.contracts import Given, Task
from tunewright.core.measures import encode_labels
from tunewright.core.numeric import log_softmax, negative_log_likelihood, sigmoid
from tunewright.core.policy import fit_thresholds
from tunewright.core.types import Example, Policy, Prediction

PATH = (0.001, 0.01, 0.1, 1.0, 10.0)  # values of C that are tried on standardised dense features
NEVER = -20.0  # how far below the others the bias of a label without training rows lies
SHARPNESS = 20.0  # of scores by cosine, as contrastive training has it; the calibrator mends what it is off by
MEMORY = 8  # past steps that L-BFGS keeps

Matrix = Any  # a numpy array, or a scipy sparse matrix in CSR form


@dataclass(frozen=True)
class LinearFit:
    """A linear classifier: logits = features · weightᵀ + bias.

    weight: (labels, features) and bias: (labels,), float32, for features as given (standardisation is folded in);
    two labels have two rows. C: the chosen inverse penalty; score: its share of right decisions on validation.
    """

    weight: np.ndarray
    bias: np.ndarray
    C: float
    score: float

    def logits(self, features: Matrix) -> np.ndarray:
        """(rows, labels)."""
        return np.asarray(features @ self.weight.T) + self.bias


def fit_linear(
    features: Matrix,
    gold: np.ndarray,
    validation_features: Matrix,
    validation_gold: np.ndarray,
    *,
    labels: int,
    path: Sequence[float] = PATH,
    iterations: int = 100,
    shares: bool = False,
) -> LinearFit:
    """Fit logistic regression, with C chosen on validation (best share of right decisions, then least loss).

    features: (rows, features) dense or CSR; gold: (rows,) label indices, or (rows, labels) zeros and ones for several
    labels a row; with `shares`, (rows, labels) how much each label is a row's, 1 in all, and validation as indices. Dense features are standardised inside. A label without training rows gets zero weights and a very low
    bias. Without validation rows the middle of `path` is used. Deterministic.
    """
    gold = np.asarray(gold)
    multi_label = gold.ndim == 2 and not shares
    targets = gold.astype(np.float32) if gold.ndim == 2 else _one_hot(gold, labels)
    present = np.flatnonzero(np.sum(targets, axis=0) > 0)
    scaled, mean, scale = _standardised(features)
    candidates = list(path) if len(validation_gold) else [path[len(path) // 2]]
    start = np.zeros((len(present), scaled.shape[1] + 1), dtype=np.float32)
    start[:, -1] = _prior(targets[:, present], multi_label)
    best: tuple[tuple[float, float], LinearFit] | None = None
    for C in sorted(candidates):
        problem = _Problem(scaled, targets[:, present], 1 / (C * scaled.shape[0]), multi_label)
        start = minimise(problem.loss, start, iterations)
        fitted = _unfolded(start, present, labels, mean, scale, C)
        quality = _quality(fitted.logits(validation_features), np.asarray(validation_gold))
        if best is None or quality > best[0]:
            best, worse = (quality, LinearFit(fitted.weight, fitted.bias, C, quality[0])), 0
        elif (worse := worse + 1) == 2:
            break  # weaker penalties only fit the training rows closer from here on
    return best[1]


def fit_ridge(
    features: Matrix,
    gold: np.ndarray,
    validation_features: Matrix,
    validation_gold: np.ndarray,
    *,
    path: Sequence[float] = PATH,
) -> LinearFit:
    """Fit numbers by least squares with a penalty on the weights (Hoerl and Kennard 1970), C chosen on validation.

    features: (rows, features) dense; gold: (rows,) or (rows, outputs). One row of weights an output; C is the inverse
    penalty as in `fit_linear`, the same for all, with the score minus the mean squared error.
    """
    scaled, mean, scale = _standardised(features)
    target, held_out = (_in_columns(part) for part in (gold, validation_gold))
    middle = target.mean(axis=0)
    values, axes = np.linalg.eigh(np.asarray(scaled.T @ scaled, dtype=np.float64) / len(scaled))
    along = axes.T @ (scaled.T @ (target - middle)) / len(scaled)
    candidates = sorted(path) if len(validation_gold) else [sorted(path)[len(path) // 2]]
    best: LinearFit | None = None
    for C in candidates:
        shrunk = along / (values + 1 / (C * len(scaled)))[:, None]
        weight = ((axes @ shrunk).T / scale).astype(np.float32)
        bias = (middle - weight.astype(np.float64) @ mean).astype(np.float32)
        fitted = LinearFit(weight, bias, C, 0.0)
        off = fitted.logits(validation_features) - held_out if len(held_out) else np.zeros(1)
        score = -float(np.mean(np.square(off)))
        if best is None or score > best.score:
            best = LinearFit(weight, bias, C, score)
    return best


def _in_columns(numbers: np.ndarray) -> np.ndarray:
    """(rows, outputs) of (rows,) or (rows, outputs)."""
    found = np.asarray(numbers, dtype=np.float64)
    return found[:, None] if found.ndim == 1 else found


def fit_for(
    task: Task,
    features: Matrix,
    examples: Sequence[Example],
    validation_features: Matrix,
    validation: Sequence[Example],
    labels: Sequence[str],
    path: Sequence[float] = PATH,
) -> LinearFit:
    """`fit_linear` for a task's labels, or `fit_ridge` for its numbers. All examples are labelled."""
    if not task.classes:
        gold = [np.array([example.label for example in part], dtype=np.float64) for part in (examples, validation)]
        return fit_ridge(features, gold[0], validation_features, gold[1], path=path)
    gold = [encode_labels([example.label for example in part], labels) for part in (examples, validation)]
    return fit_linear(features, gold[0], validation_features, gold[1], labels=len(labels), path=path)


def nearest_mean(features: np.ndarray, names: Sequence[str], labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The linear map of a classifier by the nearest mean: weight (labels, hidden) and bias (labels,), float32.

    features: (rows, hidden) of one length, as layer normalisation leaves them; names: each row's label. A label's logit is
    SHARPNESS times the cosine of a text and the mean of its rows; a label without rows is never the answer.
    """
    length = float(np.sqrt(features.shape[1]))
    weight, bias = np.zeros((len(labels), features.shape[1])), np.full(len(labels), NEVER)
    for index, label in enumerate(labels):
        own = features[[name == label for name in names]]
        if len(own):
            mean = own.mean(axis=0)
            weight[index], bias[index] = SHARPNESS * mean / max(float(np.linalg.norm(mean)) * length, 1e-12), 0.0
    return weight.astype(np.float32), bias.astype(np.float32)


def predictions(
    given: Given, train: Matrix, validation: Matrix, test: Matrix, path: Sequence[float] = PATH
) -> list[Prediction]:
    """A baseline's answers from features of its rows; several labels a row get thresholds chosen on validation."""
    fit = fit_for(given.task, train, given.train, validation, given.validation, given.labels, path)
    policy = Policy()
    if any(isinstance(example.label, tuple) for example in given.validation):
        gold = encode_labels([example.label for example in given.validation], given.labels)
        policy = Policy(fit_thresholds(sigmoid(fit.logits(validation)), gold, given.labels))
    return [given.task.decode(row, (), given.labels, policy) for row in fit.logits(test)]


def minimise(
    loss: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray, iterations: int, tolerance: float = 1e-5
) -> np.ndarray:
    """The point where a smooth convex `loss` (value and gradient) is least, by L-BFGS with a backtracking line search.

    Ends when a step lowers the loss by less than `tolerance` of it, or after `iterations`.
    """
    point, history = start, deque(maxlen=MEMORY)
    value, gradient = loss(point)
    for _ in range(iterations):
        direction = _direction(gradient, history)
        slope, length = _dot(direction, gradient), 1.0
        for _ in range(20):
            ahead = point + np.float32(length) * direction
            new_value, new_gradient = loss(ahead)
            if new_value <= value + 1e-4 * length * slope:
                break
            length *= 0.5
        else:
            break  # float32 can see no descent any more
        step, change = ahead - point, new_gradient - gradient
        if _dot(step, change) > 0:
            history.append((step, change, _dot(step, change)))
        settled = value - new_value <= tolerance * value
        point, value, gradient = ahead, new_value, new_gradient
        if settled:
            break
    return point


@dataclass(frozen=True)
class _Problem:
    """Mean logistic loss with a penalty on the weights, not on the bias, which is the last column."""

    features: Matrix  # (rows, features)
    targets: np.ndarray  # (rows, labels)
    penalty: float
    multi_label: bool

    def loss(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at `parameters` (labels, features + 1)."""
        weight, rows = parameters[:, :-1], len(self.targets)
        logits = np.asarray(self.features @ weight.T) + parameters[:, -1]
        if self.multi_label:
            losses = np.logaddexp(0, logits) - self.targets * logits
            errors = sigmoid(logits) - self.targets
        else:
            logarithms = log_softmax(logits)
            losses = -self.targets * logarithms
            errors = np.exp(logarithms) - self.targets
        value = np.sum(losses, dtype=np.float64) / rows + self.penalty / 2 * _dot(weight, weight)
        gradient = np.empty_like(parameters)
        gradient[:, :-1] = (
            np.asarray((self.features.T @ errors).T) / np.float32(rows) + np.float32(self.penalty) * weight
        )
        gradient[:, -1] = np.mean(errors, axis=0)
        return value, gradient


def _direction(gradient: np.ndarray, history: deque) -> np.ndarray:
    """The two-loop recursion: the quasi-Newton step from the remembered changes."""
    direction, factors = -gradient, []
    for step, change, product in reversed(history):
        factor = _dot(step, direction) / product
        direction = direction - np.float32(factor) * change
        factors.append(factor)
    if history:
        _, change, product = history[-1]
        direction = direction * np.float32(product / _dot(change, change))
    for (step, change, product), factor in zip(history, reversed(factors), strict=True):
        direction = direction + np.float32(factor - _dot(change, direction) / product) * step
    return direction


def _standardised(features: Matrix) -> tuple[Matrix, np.ndarray, np.ndarray]:
    """Features with mean 0 and deviation 1, their mean and scale; sparse ones stay as they are."""
    if hasattr(features, "tocsr"):
        return features.astype(np.float32), np.float32(0), np.float32(1)
    features = np.asarray(features, dtype=np.float32)
    mean = np.mean(features, axis=0, dtype=np.float64).astype(np.float32)
    centred = features - mean
    scale = np.std(centred, axis=0)
    constant = scale <= 1e-6 * np.abs(mean)
    centred[:, constant], scale[constant] = 0, 1
    return centred / scale, mean, scale


def _unfolded(
    parameters: np.ndarray, present: np.ndarray, labels: int, mean: np.ndarray, scale: np.ndarray, C: float
) -> LinearFit:
    weight = np.zeros((labels, parameters.shape[1] - 1), dtype=np.float32)
    weight[present] = parameters[:, :-1] / scale
    bias = np.full(labels, NEVER, dtype=np.float32)
    bias[present] = parameters[:, -1] - np.sum(weight[present] * mean, axis=1)
    return LinearFit(weight, bias, C, 0.0)


def _quality(logits: np.ndarray, gold: np.ndarray) -> tuple[float, float]:
    if len(gold) == 0:
        return 0.0, 0.0
    right = (logits > 0) == (gold > 0.5) if gold.ndim == 2 else np.argmax(logits, axis=1) == gold
    return float(np.mean(right)), -float(np.mean(negative_log_likelihood(logits, gold)))


def _prior(targets: np.ndarray, multi_label: bool) -> np.ndarray:
    share = np.clip(np.mean(targets, axis=0), 1e-6, 1 - 1e-6)
    return np.log(share / (1 - share)) if multi_label else np.log(share)


def _one_hot(gold: np.ndarray, labels: int) -> np.ndarray:
    targets = np.zeros((len(gold), labels), dtype=np.float32)
    targets[np.arange(len(gold)), gold] = 1
    return targets


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b))
