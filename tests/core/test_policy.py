"""Thresholds are the best there are, and an accepted answer errs as rarely as promised."""

import numpy as np
import pytest
from scipy.stats import beta
from sklearn.metrics import f1_score

from tunewright.core.policy import NEVER, fit_accept, fit_threshold, fit_thresholds, upper_bound


def world(rng, rows):
    """Scores that mean what they say, most of them high."""
    scores = 1 - 0.8 * rng.beta(0.35, 1.0, size=rows)
    return scores, rng.random(rows) < scores


def test_each_threshold_has_the_best_f1_of_all_thresholds():
    rng = np.random.default_rng(0)
    gold = rng.random((80, 3)) < [0.5, 0.2, 0.05]
    scores = np.round(np.clip(gold * 0.3 + rng.random((80, 3)) * 0.7, 0, 1), 2)
    for index, threshold in enumerate(fit_thresholds(scores, gold, ["a", "b", "c"]).values()):
        column, true = scores[:, index], gold[:, index]
        best = max(f1_score(true, column >= cut) for cut in np.unique(column))
        assert f1_score(true, column >= threshold) == pytest.approx(best)


def test_a_label_that_no_row_has_keeps_the_threshold_one_half():
    assert fit_thresholds(np.array([[0.2], [0.9]]), np.zeros((2, 1)), ["新"]) == {"新": 0.5}


def test_accepted_answers_break_the_error_limit_in_at_most_one_in_twenty_runs():
    rng = np.random.default_rng(11)
    scores, _ = world(rng, 400_000)
    falling = -np.sort(-scores)
    risk = np.cumsum(1 - falling) / np.arange(1, len(falling) + 1)
    for rows, limit in ((400, 0.1), (1500, 0.05)):
        broken, coverage = 0, 0.0
        for _ in range(200):
            found = fit_accept(*world(rng, rows), max_error=limit)
            accepted = np.searchsorted(-falling, -found.accept, side="right")
            broken += accepted > 0 and risk[accepted - 1] > limit
            coverage += found.coverage / 200
        assert broken <= 10
        assert coverage > 0.5 * np.mean(risk <= limit)


def test_the_threshold_accepts_exactly_the_rows_it_was_measured_on():
    scores, correct = world(np.random.default_rng(1), 900)
    found = fit_accept(scores, correct, max_error=0.1)
    taken = scores >= found.accept
    assert found.coverage == pytest.approx(taken.mean())
    assert found.error == pytest.approx(1 - correct[taken].mean())
    assert found.error < found.upper <= 0.1


def test_a_model_that_is_always_right_answers_everything():
    found = fit_accept(np.linspace(0.5, 1, 500), np.ones(500), max_error=0.05)
    assert (found.coverage, found.error, found.accept, found.reason) == (1.0, 0.0, 0.0, None)


def test_rows_of_equal_score_are_accepted_together():
    correct = np.r_[np.ones(300), np.zeros(100)]
    assert fit_accept(np.full(400, 0.9), correct, max_error=0.05).coverage == 0.0
    assert fit_accept(np.full(400, 0.9), correct, max_error=0.4).coverage == 1.0


def test_too_few_validation_rows_mean_abstaining_always_and_the_reason_says_how_many_it_takes():
    found = fit_accept(np.full(20, 0.99), np.ones(20), max_error=0.02)
    assert found.accept == NEVER > 1
    assert (found.coverage, found.error, found.upper) == (0.0, None, None)
    assert "20 validation rows cannot show an error below 2%: that takes at least 217" in found.reason.en
    assert "20 条验证数据不足以说明错误率低于 2%：至少需要 217 条" in found.reason.zh


def test_the_number_of_rows_that_the_reason_names_is_enough_and_one_less_is_not():
    assert "at least 86," in fit_accept(np.full(85, 0.99), np.ones(85), max_error=0.05).reason.en
    assert fit_accept(np.full(86, 0.99), np.ones(86), max_error=0.05).coverage == 1.0


def test_a_model_that_errs_everywhere_abstains_and_says_so():
    rng = np.random.default_rng(0)
    found = fit_accept(rng.random(500), rng.random(500) < 0.5, max_error=0.05)
    assert found.accept == NEVER
    assert "not shown to err below 5%" in found.reason.en and "无法说明错误率低于 5%" in found.reason.zh


def test_an_error_limit_of_zero_can_never_be_shown():
    assert "above 0" in fit_accept(np.ones(10), np.ones(10), max_error=0.0).reason.en


@pytest.mark.parametrize(("errors", "rows"), [(0, 10), (3, 50), (49, 50), (10, 10), (120, 4000)])
def test_the_upper_bound_is_that_of_clopper_and_pearson(errors, rows):
    exact = 1.0 if errors == rows else beta.ppf(0.95, errors + 1, rows - errors)
    assert upper_bound(errors, rows, 0.05) == pytest.approx(exact, abs=1e-9)


def leveled(rng, rows):
    """Answers beside which a wider one stands: surer, and right wherever the answer itself is."""
    scores, correct = world(rng, rows)
    share = rng.random(rows)  # of what the answer lacks to certainty
    wider = scores + (1 - scores) * share
    return np.stack([scores, wider], axis=1), np.stack([correct, correct | (rng.random(rows) < share)], axis=1)


def test_wider_answers_keep_the_error_limit_too_and_answer_more():
    rng = np.random.default_rng(5)
    scores, correct = leveled(rng, 200_000)
    broken, gained = 0, 0.0
    for _ in range(100):
        rows, limit = leveled(rng, 600), 0.05
        found = fit_accept(*rows, max_error=limit)
        sure = scores >= found.accept
        answered = sure.any(axis=1)
        wrong = ~correct[np.arange(len(scores)), sure.argmax(axis=1)]
        broken += answered.any() and wrong[answered].mean() > limit
        gained += (found.coverage - fit_accept(rows[0][:, 0], rows[1][:, 0], max_error=limit).coverage) / 100
    assert broken <= 5
    assert gained > 0.1


def test_an_answer_without_a_wider_one_is_measured_as_before():
    scores, correct = world(np.random.default_rng(1), 900)
    none = np.full_like(scores, -1.0)
    beside = fit_accept(np.stack([scores, none], axis=1), np.stack([correct, none > 0], axis=1), max_error=0.1)
    assert beside == fit_accept(scores, correct, max_error=0.1)


def test_a_threshold_is_where_the_answers_are_best_on_average():
    rng = np.random.default_rng(1)
    for _ in range(20):
        scores = np.round(rng.random(30), 1)  # some are equal
        yes, no = rng.random(30) < scores, rng.random(30)
        found = fit_threshold(scores, yes, no)

        def mean(cut, scores=scores, yes=yes, no=no):
            return np.where(scores >= cut, yes, no).mean()

        assert mean(found) == pytest.approx(max(mean(cut) for cut in (*np.unique(scores), NEVER)))


def test_where_one_answer_is_always_better_the_threshold_says_so():
    assert fit_threshold([0.2, 0.9], yes=[1, 1], no=[0, 0]) <= 0.2
    assert fit_threshold([0.2, 0.9], yes=[0, 0], no=[1, 1]) > 0.9
    assert fit_threshold([0.2, 0.9], yes=[0, 1], no=[1, 0]) == pytest.approx(0.55)
