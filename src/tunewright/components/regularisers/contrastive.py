"""Draw features of one label together (Khosla et al. 2020), or of one text's two passes (SimCSE, Gao et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tunewright.core.contracts import Compute, Objective, Pass, Regulariser
from tunewright.core.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor

    from tunewright.models.model import Model


@dataclass(frozen=True)
class Contrastive(Regulariser):
    """(1 − weight) · loss + weight · contrast of the pooled features (Gunel et al. 2021, equation 1).

    Rows are held against those computed at the same time: a step's, or its part's where a step is cut to fit the memory
    (train.micro_batch_tokens, which can be set so high that no step is cut).
    """

    positives: Literal["label", "dropout"] = (
        "label"  # what belongs together: rows of a label, or two passes of a row (SimCSE; any task), among the rows computed at a time
    )
    weight: Annotated[float, Field(gt=0, lt=1)] = 0.1  # of the contrast; the rest is the loss's
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        0.1  # less makes near rows count more; the papers take 0.05 to 0.3
    )

    @property
    def needs_chance(self) -> bool:
        """See Regulariser.needs_chance."""
        return self.positives == "dropout"

    def attach(self, model: Model, objective: Objective) -> Callable[[Compute, Mapping[str, Tensor]], Pass]:
        """See Regulariser.attach. `wrap` raises RecipeError where a row has no single label and is to be held by it."""
        passes = {"label": self._by_label, "dropout": self._by_dropout}[self.positives]

        def wrap(compute: Compute, batch: Mapping[str, Tensor]) -> Pass:
            def computed() -> tuple[Pass, Tensor]:
                with _features(model) as found:
                    done = compute()
                return done, _unit(found[0], batch)

            plain, losses, contrast = passes(computed, batch)
            return Pass(plain.logits, (1 - self.weight) * losses + self.weight * contrast)

        return wrap

    def _by_label(
        self, computed: Callable[[], tuple[Pass, Tensor]], batch: Mapping[str, Tensor]
    ) -> tuple[Pass, Tensor, Tensor]:
        labels = batch["labels"]
        if labels.ndim > 1 or labels.is_floating_point():
            raise RecipeError(
                "train.regularisers: contrastive draws rows of one label together, and the answers of this task are no "
                "single label of a row. Set it to {name: contrastive, positives: dropout}, or leave it out."
            )
        plain, features = computed()
        return plain, plain.losses, label_contrast(features, labels, self.temperature)

    def _by_dropout(
        self, computed: Callable[[], tuple[Pass, Tensor]], batch: Mapping[str, Tensor]
    ) -> tuple[Pass, Tensor, Tensor]:
        (plain, features), (again, others) = computed(), computed()
        return plain, (plain.losses + again.losses) / 2, pair_contrast(features, others, self.temperature)


def label_contrast(features: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Each row's mean −log share among all others of those with its label (L_out, equation 2); 0 for a label's only row.

    features: (batch, hidden), each of length 1; labels: (batch,). Returns (batch,).
    """
    import torch

    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    alike = (labels[:, None] == labels) & ~itself
    scores = (features @ features.T / temperature).masked_fill(itself, torch.finfo(features.dtype).min)
    shares = scores.log_softmax(dim=1).masked_fill(~alike, 0.0)
    return -shares.sum(dim=1) / alike.sum(dim=1).clamp(min=1)


def pair_contrast(features: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Each row's −log share of its own second features among those of all rows (equation 4 of SimCSE): (batch,)."""
    import torch
    from torch.nn.functional import cross_entropy

    own = torch.arange(len(features), device=features.device)
    return cross_entropy(features @ others.T / temperature, own, reduction="none")


@contextmanager
def _features(model: Model) -> Iterator[list[Tensor]]:
    """Inside, the list takes up what the head's linear map is applied to in every pass."""
    found: list[Tensor] = []
    hook = model.head.output.register_forward_pre_hook(lambda _, given: found.append(given[0]))
    try:
        yield found
    finally:
        hook.remove()


def _unit(features: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """One vector of length 1 a row; features of tokens are averaged over the real ones."""
    from torch.nn.functional import normalize

    if features.ndim == 3:
        real = batch["attention_mask"].unsqueeze(-1).to(features.dtype)
        features = (features * real).sum(dim=1) / real.sum(dim=1)
    return normalize(features, dim=-1)
