"""Losses are what their papers say. What all objectives promise is in tunewright/testing/kinds/objectives.py."""

from __future__ import annotations

import itertools

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


# ------------------------------------------------------------------------------------------------------------ focal


def focal(gamma):
    return catalog.create("objectives", {"name": "focal", "gamma": gamma})


def test_focal_loss_is_cross_entropy_times_a_power_of_what_is_missing_to_certainty(logits):
    right = functional.softmax(logits, dim=1)[torch.arange(4), GOLD]
    expected = -((1 - right) ** 2) * right.log()
    torch.testing.assert_close(focal(2.0).loss(logits, GOLD, None), expected)


def test_focal_loss_of_several_labels_is_that_of_each_yes_or_no(logits):
    right = torch.where(SEVERAL == 1, torch.sigmoid(logits), torch.sigmoid(-logits))
    expected = (-((1 - right) ** 1.5) * right.log()).mean(dim=1)
    torch.testing.assert_close(focal(1.5).loss(logits, SEVERAL, None), expected)


def test_focal_loss_without_focus_is_cross_entropy_with_its_class_weights(logits):
    weights = torch.tensor([3.0, 1.0, 0.5])
    for name, gold in (("cross_entropy", GOLD), ("binary_cross_entropy", SEVERAL)):
        torch.testing.assert_close(focal(0.0).loss(logits, gold, weights), objective(name).loss(logits, gold, weights))


def test_focal_loss_of_tokens_leaves_out_those_without_a_label():
    logits = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    gold = torch.tensor([[-100, 1, 2, -100], [-100, 0, -100, -100]])
    one_by_one = focal(2.0).loss(logits[0, 1:3], gold[0, 1:3], None)
    found = focal(2.0).loss(logits, gold, None)
    torch.testing.assert_close(found[0], one_by_one.mean())
    torch.testing.assert_close(found[1], focal(2.0).loss(logits[1, 1:2], gold[1, 1:2], None)[0])


def test_focal_loss_has_a_slope_where_the_network_is_sure_and_gamma_small():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    focal(0.5).loss(logits, torch.tensor([0]), None).sum().backward()
    assert bool((logits.grad == 0).all())


def test_focal_loss_refuses_numbers():
    with pytest.raises(ValueError, match="focal takes labels, and no numbers"):
        focal(2.0).loss(torch.ones(3, 1), torch.ones(3), None)


def test_starts_and_ends_are_sought_among_the_tokens_that_can_be_one():
    objective = catalog.create("objectives", "start_end")
    logits = torch.tensor([[[0.0, 1.0], [2.0, 0.0], [1.0, 3.0]]])
    labels = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    start = -torch.log_softmax(logits[0, :, 0], dim=0)[1]
    end = -torch.log_softmax(logits[0, :, 1], dim=0)[2]
    torch.testing.assert_close(objective.loss(logits, labels, None), ((start + end) / 2).reshape(1))
    padded = torch.cat([logits, torch.full((1, 4, 2), 9.0)], dim=1)
    nowhere = torch.cat([labels, torch.full((1, 4, 2), -100.0)], dim=1)
    torch.testing.assert_close(objective.loss(padded, nowhere, None), objective.loss(logits, labels, None))


def test_of_several_right_starts_the_probabilities_are_added_up():
    objective = catalog.create("objectives", "start_end")
    labels = torch.tensor([[[1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(objective.loss(torch.zeros(1, 4, 2), labels, None), torch.tensor([0.5]).log().neg())


def test_answers_apart_are_told_by_the_tokens_that_could_be_one():
    objective = catalog.create("objectives", "start_end")
    first, second = torch.zeros(1, 3, 2), torch.zeros(1, 3, 2)
    second[0, 0, 0], second[0, 2] = 2.0, 9.0
    labels = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [-100.0, -100.0]]])
    p, q = torch.tensor([0.5, 0.5]), torch.softmax(torch.tensor([2.0, 0.0]), dim=0)
    of_starts = ((p - q) * (p.log() - q.log())).sum() / 2  # the ends of both are alike
    torch.testing.assert_close(objective.divergence(first, second, labels), of_starts.reshape(1) / 2)


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


def test_a_chain_s_loss_is_that_of_its_path_among_all_paths():
    """Against every path of three tags there is, a window at a time."""
    made, count = catalog.create("objectives", "crf"), 3
    logits = torch.randn(3, 5, count + count**2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tags = {
        0: [(1, 0), (2, 2), (4, 1)],
        1: [(0, 2), (1, 2), (2, 0), (3, 0), (4, 1)],
        2: [],
    }  # (token, tag) of each window
    before = {0: 0, 1: 1, 2: 0}  # a tag of another window, before the first
    labels, expected = torch.full((3, 5), -100), []
    for window, own in tags.items():
        scores = [logits[window, token, :count] + logits[window, token, count:].view(count, count) for token, _ in own]
        sums = {
            path: sum(score[a, b] for score, (a, b) in zip(scores, itertools.pairwise(path), strict=True))
            for path in itertools.product(range(count), repeat=len(own) + 1)
        }
        true = (before[window], *(tag for _, tag in own))
        for (token, tag), last in zip(own, true, strict=False):
            labels[window, token] = count + last * count + tag
        whole = torch.stack([torch.as_tensor(one) for one in sums.values()]).logsumexp(dim=0)
        expected.append((whole - sums[true]) / len(own) if own else torch.tensor(0.0))
    torch.testing.assert_close(made.loss(logits, labels, None), torch.stack(expected).float())
    with pytest.raises(ValueError, match="pairs of tags"):
        made.loss(logits, torch.zeros(3, 5, dtype=torch.int64), None)
    for wrong, gold in ((logits[..., :5], labels), (logits[:, 0], labels[:, 0])):
        with pytest.raises(ValueError):
            made.loss(wrong, gold, None)


def test_of_several_tasks_each_token_is_judged_among_its_own_outputs():
    made = catalog.create("objectives", "within_parts")
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    none = [-100, -100, -100]
    labels = torch.tensor([[[1, 0, 2], none, none], [none, [2, 2, 5], [4, 2, 5]]])
    first = functional.cross_entropy(logits[0, 0, :2][None], torch.tensor([1]))
    second = functional.cross_entropy(logits[1, 1:, 2:], torch.tensor([0, 2]))
    torch.testing.assert_close(made.loss(logits, labels, None), torch.stack([first, second]))
    moved = logits.clone()
    moved[0, 0, 2:] += 9.0  # outputs of another task
    torch.testing.assert_close(made.loss(moved, labels, None), made.loss(logits, labels, None))
    torch.testing.assert_close(made.divergence(logits, moved, labels), torch.zeros(2))
    with pytest.raises(ValueError, match="which outputs are theirs"):
        made.loss(logits, labels[..., 0], None)
