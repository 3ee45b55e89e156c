"""What is special about each way to learn from rows without labels. What all promise is in testing/kinds/semi_supervision.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tunewright.core import catalog
from tunewright.core.contracts import Scored


def pseudo(scores, names, *, validation=(0.9, 0.8, 0.7, 0.6), right=(1, 1, 1, 0), shares=None, **settings):
    """What pseudo_label adopts of rows with these scores and answers."""
    scored = Scored(
        validation=np.array(validation), right=np.array(right, dtype=bool), unlabelled=np.array(scores),
        names=[(name,) if isinstance(name, str) else name for name in names],
        shares=shares or dict.fromkeys("abc", 1 / 3),
    )  # fmt: skip
    return catalog.create("semi_supervision", {"name": "pseudo_label", **settings}).adopt(scored)


@pytest.mark.parametrize(
    ("right", "accuracy", "threshold"),
    [
        ((1, 1, 1, 0), 0.95, 0.7),
        ((1, 1, 1, 0), 0.75, 0.6),
        ((0, 1, 1, 1), 0.7, 0.6),  # below the wrong one the share rises again
        ((0, 0, 0, 1), 0.95, None),
    ],
)
def test_the_threshold_is_the_least_score_from_which_validation_is_right_often_enough(right, accuracy, threshold):
    adopted = pseudo([0.95, 0.65, 0.75, 0.1], "abca", right=right, accuracy=accuracy)
    assert adopted.about["threshold"] == threshold
    expected = [] if threshold is None else [row for row, score in enumerate([0.95, 0.65, 0.75]) if score >= threshold]
    assert adopted.rows.tolist() == expected


def test_rows_of_equal_scores_are_taken_together():
    adopted = pseudo([0.7, 0.8], "ab", validation=(0.9, 0.7, 0.7), right=(1, 1, 0))
    assert adopted.about["threshold"] == 0.9 and adopted.rows.tolist() == []


def test_a_threshold_of_the_recipe_is_taken_as_it_is():
    assert pseudo([0.99, 0.5, 0.4], "abc", threshold=0.5, right=(0, 0, 0, 0)).rows.tolist() == [0, 1]


def test_one_label_does_not_swamp_the_others_and_its_surest_rows_go_first():
    scores = [0.70, 0.99, 0.80, 0.95, 0.90, 0.85, 0.75, 0.71]
    adopted = pseudo(scores, "aaaaaabc", threshold=0.5, balance=1.5, shares={"a": 0.25, "b": 0.5, "c": 0.25})
    assert adopted.about == {"threshold": 0.5, "sure": 8, "labels": {"a": 3, "b": 1, "c": 1}}
    assert adopted.rows.tolist() == [1, 3, 4, 6, 7]


def test_a_row_of_several_labels_counts_for_each_and_one_without_any_for_none():
    adopted = pseudo([0.9, 0.8, 0.7], [("a", "b"), (), ("a",)], threshold=0.5, balance=1.0, shares={"a": 0.5, "b": 0.5})
    assert adopted.rows.tolist() == [0, 1] and adopted.about["labels"] == {"a": 1, "b": 1}


SURE, UNSURE = [6.0, 0.0, 0.0], [0.3, 0.0, 0.0]


def uda(said, changed, *, multi_label=False, **settings):
    made = catalog.create("semi_supervision", {"name": "uda", **settings})
    return made.consistency(torch.tensor(said), torch.tensor(changed), multi_label)


def test_uda_is_the_divergence_from_the_sharpened_answer():
    target = (torch.tensor(SURE) / 0.5).softmax(dim=0)
    other = torch.tensor([0.0, 1.0, 0.0])
    expected = (target * (target.log() - other.log_softmax(dim=0))).sum()
    assert uda([SURE], [other.tolist()], temperature=0.5, weight=3.0).item() == pytest.approx(
        3 * expected.item(), rel=1e-5
    )


def test_uda_leaves_out_what_the_text_itself_is_not_sure_of():
    found = uda([SURE, UNSURE], [[0.0, 1.0, 0.0]] * 2)
    assert found[0] > 0 and found[1] == 0
    assert uda([UNSURE], [[0.0, 1.0, 0.0]], confidence=0.3)[0] > 0


def test_uda_takes_each_of_several_labels_for_a_yes_or_no_of_its_own():
    yes, no = torch.tensor([4.0, -4.0]).sigmoid()
    expected = float(yes * (yes / no).log() + no * (no / yes).log()) / 2  # of the first of two labels
    found = uda([[4.0, 4.0]], [[-4.0, 4.0]], multi_label=True, temperature=1.0)
    assert found.item() == pytest.approx(expected, rel=1e-4)
    assert uda([[4.0, 0.1]], [[-4.0, 4.0]], multi_label=True).item() == 0
