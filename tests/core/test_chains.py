"""Tags as a chain: against every path there is."""

import itertools

import numpy as np
import pytest

from tunewright.core import chains, spans

OUTPUTS = np.random.default_rng(0).normal(size=(4, chains.size(3))) * 2


def paths(scores, units, count):
    """Every path of tags with the sum of its scores; any tag may stand before it."""
    return {
        path[1:]: np.logaddexp.reduce([_sum(scores, (before, *path[1:])) for before in range(count)])
        for path in itertools.product([0], *[range(count)] * units)
    }


def _sum(scores, path):
    return sum(scores[unit][pair] for unit, pair in enumerate(itertools.pairwise(path)))


def test_scores_are_those_of_a_tag_and_of_its_step():
    found = chains.scores(OUTPUTS)
    assert found[1][2, 0] == OUTPUTS[1, 0] + OUTPUTS[1, 3 + 2 * 3 + 0]
    assert chains.pairs(np.array([2]), np.array([0]), 3).tolist() == [9]
    assert chains.names("ab") == ("a", "b", "a>a", "a>b", "b>a", "b>b")


def test_probabilities_are_shares_of_all_paths():
    scores = chains.scores(OUTPUTS)
    told = paths(scores, 4, 3)
    whole = np.logaddexp.reduce(list(told.values()))
    wanted = np.zeros((4, 3))
    for path, score in told.items():
        wanted[range(4), path] += np.exp(score - whole)
    np.testing.assert_allclose(chains.probabilities(scores), wanted)


def test_the_best_path_is_that_of_the_highest_sum():
    scores = chains.scores(OUTPUTS)
    sums = {p: max(_sum(scores, (a, *p)) for a in range(3)) for p in itertools.product(range(3), repeat=4)}
    assert tuple(chains.best(scores)) == max(sums, key=sums.get)
    assert chains.best([]).tolist() == []


def test_within_the_law_nothing_else_is_said_however_likely_it_is():
    scores = chains.scores(OUTPUTS)
    scores[0][:, 2] += 100  # I- at the beginning
    scores[2][0, 2] += 100  # I- after O
    tags, sure = (way(np.stack(list(spans.within_law(scores)))) for way in (chains.best, chains.probabilities))
    allowed = spans.lawful(np.log(np.eye(3)[tags] + 1e-9))
    assert tags.tolist() == allowed.tolist() and tags[0] != 2 and np.isfinite(sure).all()
    np.testing.assert_allclose(sure.sum(axis=1), 1)
    assert sure[0, 2] == 0


@pytest.mark.parametrize("outputs", [1, 3, 7, 13])
def test_numbers_of_outputs_that_no_chain_has_are_refused(outputs):
    with pytest.raises(ValueError, match="are not those"):
        chains.tags_of(outputs)
    assert [chains.tags_of(chains.size(count)) for count in (1, 2, 9, 400)] == [1, 2, 9, 400]
