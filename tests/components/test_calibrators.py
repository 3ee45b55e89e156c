"""Calibration makes scores mean what they say and changes no answer."""

import numpy as np
import pytest

from tunewright.core import catalog, measures
from tunewright.core.numeric import sigmoid, softmax

CALIBRATOR = catalog.create("calibrators", "temperature")


def sampled(rng, rows, labels, temperature):
    """Logits, and gold labels drawn from their probabilities at `temperature`."""
    logits = rng.normal(size=(rows, labels)) * 4
    probabilities = softmax(logits / temperature)
    return logits, (np.cumsum(probabilities, axis=1) > rng.random((rows, 1))).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    logits, gold = sampled(np.random.default_rng(0), 4000, 5, temperature)
    scale, shift = CALIBRATOR.fit(logits, gold, multi_label=False)
    assert 1 / scale == pytest.approx(temperature, rel=0.1)
    assert (scale.shape, shift.shape, float(shift)) == ((), (), 0.0)


def test_scores_mean_more_after_calibration_and_answers_stay():
    logits, gold = sampled(np.random.default_rng(1), 4000, 5, 3.0)
    scale, shift = CALIBRATOR.fit(logits[:2000], gold[:2000], multi_label=False)
    after = logits[2000:] * scale + shift
    assert (after.argmax(1) == logits[2000:].argmax(1)).all()
    errors = [
        measures.classification(gold[2000:], values.argmax(1), "abcde", softmax(values))["ece"]
        for values in (logits[2000:], after)
    ]
    assert errors[1] < errors[0] / 3


def test_several_labels_share_one_temperature():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(3000, 4)) * 4
    gold = (rng.random(logits.shape) < sigmoid(logits / 2)).astype(float)
    scale, _ = CALIBRATOR.fit(logits, gold, multi_label=True)
    assert 1 / scale == pytest.approx(2.0, rel=0.1)


def test_few_rows_that_are_all_right_do_not_make_the_model_boundlessly_sure():
    logits = np.array([[4.0, 0.0]] * 10)
    scale, _ = CALIBRATOR.fit(logits, np.zeros(10, dtype=int), multi_label=False)
    assert 0.5 < scale < 2


def test_the_temperature_stays_in_its_bounds():
    free = catalog.create("calibrators", {"name": "temperature", "prior": 0.0})
    right, wrong = np.zeros(50, dtype=int), np.ones(50, dtype=int)
    logits = np.array([[2.0, 0.0]] * 50)
    assert 10 < free.fit(logits, right, False)[0] <= 20
    assert 0.05 <= free.fit(logits, wrong, False)[0] < 0.06


def test_without_rows_nothing_changes():
    scale, shift = CALIBRATOR.fit(np.zeros((0, 3)), np.zeros(0, dtype=int), multi_label=False)
    assert (float(scale), float(shift)) == (1.0, 0.0)
