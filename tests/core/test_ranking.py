import math

import numpy as np
import pytest

from tunewright.core import ranking
from tunewright.core.types import Policy, Prediction

MEASURES = ranking.RankingMeasures()


def ranked(*documents):
    return Prediction(documents[0], 0.5, dict.fromkeys(documents, 0.1))


def test_measures_are_those_of_the_first_right_document():
    gold = [("a",), ("b",), ("c",), ("none of them",)]
    said = [ranked("a", "b"), ranked("a", "b"), ranked(*"uvwxyzabc"), ranked(*"abc")]
    found = MEASURES.metrics(gold, said, ())
    assert found["n"] == 4
    assert found["recall_at_1"] == 0.25 and found["recall_at_5"] == 0.5 and found["recall_at_10"] == 0.75
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 9) / 4)
    assert found["ndcg"] == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(10)) / 4)


def test_any_right_document_counts_and_ndcg_asks_for_all():
    one, both = ranked("a", "x", "y"), ranked("a", "b", "x")
    gold = ("b", "a")
    assert MEASURES.right(gold, "a") and not MEASURES.right(gold, "x")
    assert MEASURES.quality(gold, one) == MEASURES.quality(gold, both) == 1
    least, most = (MEASURES.metrics([gold], [said], ())["ndcg"] for said in (one, both))
    assert least == pytest.approx(1 / (1 + 1 / math.log2(3))) and most == 1


def test_measures_agree_with_scikit_learn():
    from sklearn.metrics import ndcg_score

    random, documents = np.random.default_rng(0), [f"d{number}" for number in range(30)]
    logits = random.normal(size=(20, 30))
    right = random.random((20, 30)) < 0.1
    right[:, 0] = True
    said = [ranking.best(row, documents, Policy()) for row in logits]
    gold = [tuple(np.array(documents)[row]) for row in right]
    assert MEASURES.metrics(gold, said, ())["ndcg"] == pytest.approx(ndcg_score(right, logits, k=10))


def test_an_answer_holds_the_ten_nearest_in_order_with_their_share_of_all():
    documents = [f"d{number}" for number in range(50)]
    logits = np.random.default_rng(1).normal(size=50)
    said = ranking.best(logits, documents, Policy(), truncated=3)
    order = np.argsort(-logits)[:10]
    assert list(said.scores) == [documents[place] for place in order] and said.value == documents[order[0]]
    shares = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(list(said.scores.values()), shares[order])
    assert said.score == said.scores[said.value] and said.truncated_tokens == 3


def test_the_index_gives_the_cosine_of_normalised_queries():
    random = np.random.default_rng(2)
    documents, query = random.normal(size=(7, 16)) * 5, random.normal(size=16)
    query *= np.sqrt(16) / np.linalg.norm(query)
    weight, bias = ranking.index(documents)
    cosine = documents @ query / np.linalg.norm(documents, axis=1) / np.linalg.norm(query)
    np.testing.assert_allclose(weight @ query + bias, 20 * cosine, rtol=1e-5)
    assert weight.dtype == bias.dtype == np.float32


def test_unlabelled_rows_are_left_out_and_other_metrics_have_no_weights():
    assert MEASURES.metrics([None], [ranked("a")], ())["n"] == 0
    assert MEASURES.weighed("accuracy", [("a",)], [ranked("a")], ()) is None


def test_documents_are_reordered_by_a_second_model_and_equal_ones_stay_as_the_search_has_them():
    searched = Prediction("a", 0.7, {"a": 0.7, "b": 0.2, "c": 0.1}, truncated_tokens=4)
    said = ranking.reordered(searched, [0.1, 0.9, 0.1], Policy())
    assert list(said.scores.items()) == [("b", 0.9), ("a", 0.1), ("c", 0.1)]
    assert (said.value, said.score, said.decision, said.truncated_tokens) == ("b", 0.9, "model", 4)
    assert said.parts == {"search": searched}


def test_of_more_judged_documents_the_ten_best_are_kept():
    searched = ranking.best(-np.arange(30.0), [f"d{n}" for n in range(30)], Policy(), most=25)
    assert len(searched.scores) == 25
    said = ranking.reordered(searched, list(range(25)), Policy())
    assert list(said.scores) == [f"d{n}" for n in range(24, 14, -1)]


@pytest.mark.parametrize(("accept", "decision"), [(None, "model"), (0.6, "model"), (0.61, "abstain")])
def test_a_reordered_answer_abstains_by_the_second_models_score(accept, decision):
    searched = Prediction("a", 0.01, {"a": 0.01, "b": 0.005})
    assert ranking.reordered(searched, [0.6, 0.2], Policy(accept=accept)).decision == decision
