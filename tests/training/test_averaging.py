"""The average that is judged and kept counts later steps more, and is nothing else than what it says."""

from __future__ import annotations

import pytest
import torch

from tunewright.training.averaging import Average


class Weights(torch.nn.Module):
    """A model of one number."""

    def __init__(self) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(1))

    def trained_parameters(self) -> dict[str, torch.nn.Parameter]:
        """See Model.trained_parameters."""
        return {"value": self.value}


def averaged(power: float | None, values: list[float]) -> float:
    """The weight that is judged after steps whose weights were `values`."""
    model = Weights()
    average = Average(model, power)
    for step, value in enumerate(values, start=1):
        with torch.no_grad():
            model.value.fill_(value)
        average.update(step)
    with average.applied():
        found = model.value.item()
    assert model.value.item() == values[-1]
    return found


@pytest.mark.parametrize(("power", "counts"), [(0.0, [1, 1, 1, 1]), (1.0, [1, 2, 3, 4]), (2.0, [1, 3, 6, 10])])
def test_steps_count_by_their_number_to_the_power(power, counts):
    values = [3.0, -1.0, 4.0, 7.0]
    expected = sum(n * value for n, value in zip(counts, values, strict=True)) / sum(counts)
    assert averaged(power, values) == pytest.approx(expected)


def test_without_an_average_the_last_step_is_judged():
    assert averaged(None, [3.0, -1.0, 4.0]) == 4.0
