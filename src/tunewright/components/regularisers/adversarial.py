"""Learn from each row also where its word embeddings are moved to what is worst for it (FGM, PGD, FreeLB)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tunewright.core.contracts import Compute, Objective, Pass, Regulariser

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tunewright.models.model import Model

STEPS = 3  # of PGD and FreeLB, what `steps: auto` means
STRIDE = 2.5  # of all steps together, in radii: a step can reach the edge from anywhere (Madry et al. 2018, section 5)


@dataclass(frozen=True)
class Adversarial(Regulariser):
    """Moves the word embeddings of real tokens, all of a row together, by at most a share of their length.

    fgm: one step along the gradient (Miyato et al. 2017). pgd: several, kept within the radius (Madry et al. 2018). Both
    take the mean of the loss before and after. freelb: from a random place on, the mean of the losses at all places on
    the way (Zhu et al. 2020).
    """

    kind: Literal["fgm", "pgd", "freelb"] = (
        "fgm"  # fgm goes through the network twice, pgd steps + 1 times, freelb as many times as steps
    )
    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        0.1  # the radius, as a share of the length of a row's embeddings: fits every backbone
    )
    steps: Annotated[int, Field(ge=1)] | Literal["auto"] = (
        "auto"  # along the gradient (places, for freelb); auto: 1 for fgm, 3 for the others
    )

    def __post_init__(self) -> None:
        """Raise ValueError for more steps than the kind makes."""
        if self.kind == "fgm" and self.steps not in ("auto", 1):
            raise ValueError(f"fgm makes one step, and steps is {self.steps}; pgd is the kind that makes several.")

    def attach(self, model: Model, objective: Objective) -> Callable[[Compute, Mapping[str, Tensor]], Pass]:
        """See Regulariser.attach."""
        from tunewright.models.surgery import word_embeddings

        words = word_embeddings(model.backbone)

        def wrap(compute: Compute, batch: Mapping[str, Tensor]) -> Pass:
            ball = _Ball(words, batch, self.epsilon)
            count = STEPS if self.steps == "auto" else self.steps
            if self.kind == "freelb":
                return _on_the_way(compute, ball, count)
            return _at_the_end(compute, ball, 1 if self.kind == "fgm" else count)

        return wrap


def _at_the_end(compute: Compute, ball: _Ball, steps: int) -> Pass:
    """The mean of the plain loss and that after `steps`: FGM with one step of a radius, PGD with several."""
    stride, place = (1.0 if steps == 1 else STRIDE / steps), ball.centre()
    plain, gradient = ball.climb(compute, place, keep=True)
    place = ball.stepped(place, gradient, stride)
    for _ in range(steps - 1):
        _, gradient = ball.climb(compute, place, keep=False)
        place = ball.stepped(place, gradient, stride)
    with ball.moved(place):
        worst = compute()
    return Pass(plain.logits, (plain.losses + worst.losses) / 2)


def _on_the_way(compute: Compute, ball: _Ball, places: int) -> Pass:
    """The mean of the losses at so many places, the first drawn at random."""
    place, passes = ball.random(), []
    for _ in range(places - 1):
        done, gradient = ball.climb(compute, place, keep=True)
        passes.append(done)
        place = ball.stepped(place, gradient, STRIDE / places)
    with ball.moved(place):
        passes.append(compute())
    return Pass(passes[0].logits, sum(done.losses for done in passes) / places)


class _Ball:
    """Where a batch's word embeddings may be moved to: (batch, tokens, width), zero at padding, each row by itself.

    epsilon: the radius over the length of a row's embeddings (the root of the sum of all squares).
    """

    def __init__(self, words: nn.Embedding, batch: Mapping[str, Tensor], epsilon: float) -> None:
        import torch

        self.words = words
        self.real = batch["attention_mask"].bool()
        with torch.no_grad():
            self.embedded = words(batch["input_ids"]).float() * self.real.unsqueeze(-1)
            self.radius = epsilon * _length(self.embedded)

    def centre(self) -> Tensor:
        """Not moved."""
        return self.embedded.new_zeros(self.embedded.shape)

    def random(self) -> Tensor:
        """Every number drawn evenly, such that no row leaves the ball (Zhu et al. 2020, algorithm 1)."""
        import torch

        numbers = self.real.sum(dim=1).view(-1, 1, 1) * self.embedded.shape[-1]
        drawn = torch.empty_like(self.embedded).uniform_(-1, 1)
        return drawn * self.real.unsqueeze(-1) * self.radius / numbers.sqrt()

    def climb(self, compute: Compute, place: Tensor, *, keep: bool) -> tuple[Pass, Tensor]:
        """A pass with the embeddings moved to `place`, and where its losses grow; `keep` what its backward pass needs."""
        import torch

        place = place.requires_grad_(True)
        with self.moved(place):
            done = compute()
        (gradient,) = torch.autograd.grad(done.losses.sum(), place, retain_graph=keep)
        return done, gradient

    def stepped(self, place: Tensor, gradient: Tensor, stride: float) -> Tensor:
        """`stride` radii along the gradient, and back to the edge where that leads out of the ball."""
        gradient = gradient * self.real.unsqueeze(-1)
        there = place.detach() + stride * self.radius * gradient / _length(gradient)
        return there * (self.radius / _length(there)).clamp(max=1)

    @contextmanager
    def moved(self, place: Tensor) -> Iterator[None]:
        """Inside, the network reads its words moved to `place`: padded, or (1, real tokens, width) without padding."""

        def move(_: nn.Module, __: tuple, embedded: Tensor) -> Tensor:
            return embedded + (place if embedded.shape == place.shape else place[self.real][None])

        hook = self.words.register_forward_hook(move)
        try:
            yield
        finally:
            hook.remove()


def _length(rows: Tensor) -> Tensor:
    """Of every row's numbers together: (batch, tokens, width) → (batch, 1, 1), never 0."""
    return rows.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1)
