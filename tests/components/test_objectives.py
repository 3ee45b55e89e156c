"""Losses are what their papers say. What all objectives promise is in tunewright/testing/kinds/objectives.py."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tunewright.core import catalog


def objective(name: str, smoothing: float = 0.0):
    return catalog.create("objectives", {"name": name, "label_smoothing": smoothing})


@pytest.fixture
def logits():
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


GOLD = torch.tensor([0, 2, 1, 2])
SEVERAL = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])


def test_cross_entropy_is_the_negative_log_likelihood(logits):
    expected = -functional.log_softmax(logits, dim=1)[torch.arange(4), GOLD]
    torch.testing.assert_close(objective("cross_entropy").loss(logits, GOLD, None), expected)


def test_smoothing_gives_a_share_of_certainty_to_all_labels(logits):
    logs = functional.log_softmax(logits, dim=1)
    expected = -0.9 * logs[torch.arange(4), GOLD] - 0.1 * logs.mean(dim=1)
    torch.testing.assert_close(objective("cross_entropy", 0.1).loss(logits, GOLD, None), expected)


def test_class_weights_multiply_an_examples_loss(logits):
    weights = torch.tensor([1.0, 2.0, 0.5])
    plain = objective("cross_entropy").loss(logits, GOLD, None)
    torch.testing.assert_close(objective("cross_entropy").loss(logits, GOLD, weights), plain * weights[GOLD])


def test_token_losses_are_averaged_within_their_example_and_special_tokens_left_out():
    logits = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    gold = torch.tensor([[-100, 1, 2, -100], [-100, 0, -100, -100]])
    logs = -functional.log_softmax(logits, dim=-1)
    expected = torch.stack([(logs[0, 1, 1] + logs[0, 2, 2]) / 2, logs[1, 1, 0]])
    torch.testing.assert_close(objective("cross_entropy").loss(logits, gold, None), expected)


def test_an_example_without_any_labelled_token_has_no_loss():
    gold = torch.full((1, 3), -100)
    assert objective("cross_entropy").loss(torch.ones(1, 3, 2), gold, None).tolist() == [0.0]


def test_several_labels_are_so_many_yes_or_no_questions(logits):
    probability = torch.sigmoid(logits)
    expected = -(SEVERAL * probability.log() + (1 - SEVERAL) * (1 - probability).log()).mean(dim=1)
    torch.testing.assert_close(objective("binary_cross_entropy").loss(logits, SEVERAL, None), expected)


def test_smoothing_moves_yes_and_no_towards_each_other(logits):
    softer = SEVERAL * 0.8 + 0.1
    expected = functional.binary_cross_entropy_with_logits(logits, softer, reduction="none").mean(dim=1)
    torch.testing.assert_close(objective("binary_cross_entropy", 0.2).loss(logits, SEVERAL, None), expected)


def test_class_weights_weigh_the_yes_of_a_label(logits):
    weights = torch.tensor([3.0, 1.0, 1.0])
    plain = objective("binary_cross_entropy").loss(logits, SEVERAL, None)
    weighed = objective("binary_cross_entropy").loss(logits, SEVERAL, weights)
    has_first = SEVERAL[:, 0] == 1
    assert bool((weighed[has_first] > plain[has_first]).all())
    torch.testing.assert_close(weighed[~has_first], plain[~has_first])


def test_an_intent_and_tags_add_up_the_intent_by_its_weight():
    logits = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    gold = torch.tensor([[2, 0, 1, -100], [1, -100, -100, -100]])  # the second text is empty: it has an intent alone
    logs = -functional.log_softmax(logits, dim=-1)
    intents, tags = torch.stack([logs[0, 0, 2], logs[1, 0, 1]]), (logs[0, 1, 0] + logs[0, 2, 1]) / 2
    for weight in (1.0, 0.3):
        made = catalog.create("objectives", {"name": "intent_and_slots", "intent_weight": weight})
        expected = weight * intents + torch.stack([tags, torch.zeros(())])
        torch.testing.assert_close(made.loss(logits, gold, None), expected)
    with pytest.raises(ValueError, match="every token"):
        made.loss(logits[:, 0], gold[:, 0], None)
