"""Documents that a search finds, in the order that a second bundle gives them; and what cannot do that."""

from pathlib import Path

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.bundle import Bundle
from tunewright.core.errors import BundleError, UsageError
from tunewright.core.types import Example, Policy, Prediction
from tunewright.predict.infer import CHUNK, Inferred
from tunewright.predict.predictor import Predictor
from tunewright.predict.rerank import open_reranker

DOCUMENTS = tuple(f"document {number}" for number in range(12))


def bundle(task, labels=(), policy=None):
    return Bundle(Path("runs/some/bundle"), {}, catalog.create("tasks", task), tuple(labels), policy or Policy())


class Judge(Predictor):
    """Likes the documents of high numbers; keeps what it was asked."""

    def __init__(self, task="sentence_pair", labels=("0", "1"), policy=None):
        self.bundle, self.reranker, self.asked = bundle(task, labels, policy), None, []

    def predictions(self, examples):
        for example in examples:
            self.asked.append(example.inputs)
            liked = int(str(example.inputs["text_b"]).split()[-1]) / 12
            if not self.bundle.task.classes:
                yield example, Prediction(liked * 5, 1.0)
            else:
                yield example, Prediction("?", 0.5, {label: liked if label == "1" else 0.1 for label in self.labels})


SEARCH = bundle("matching", DOCUMENTS, Policy(accept=0.99))


def found(*queries):
    """The search likes documents of low numbers."""
    return [Inferred(Example(q, {"query": q}), (), -np.arange(12.0)) for q in queries]


def test_the_query_is_judged_with_each_of_the_nearest_documents_and_no_other():
    judge = Judge()
    said = open_reranker(SEARCH, judge, None, 10).answers(found("p", "q"), SEARCH)
    assert judge.asked == [{"text_a": q, "text_b": d} for q in "pq" for d in DOCUMENTS[:10]]
    for one in said:
        assert list(one.scores) == list(DOCUMENTS[9::-1])
        assert one.score == one.scores["document 9"] == pytest.approx(9 / 12)
        assert list(one.parts["search"].scores) == list(DOCUMENTS[:10])


def test_judging_more_documents_brings_up_what_the_search_has_behind_the_tenth_place():
    [said] = open_reranker(SEARCH, Judge(), None, 12).answers(found("q"), SEARCH)
    assert list(said.scores) == list(DOCUMENTS[:1:-1])


def test_numbers_order_as_probabilities_do():
    judge = Judge({"name": "sentence_pair", "regression": True}, ())
    reranker = open_reranker(SEARCH, judge, None, 10)
    [said] = reranker.answers(found("q"), SEARCH)
    assert (said.value, said.score) == ("document 9", pytest.approx(9 / 12 * 5))


def test_the_label_that_is_named_counts():
    [said] = open_reranker(SEARCH, Judge(labels=("0", "1", "2")), "2", 10).answers(found("q"), SEARCH)
    assert list(said.scores) == list(DOCUMENTS[:10]) and said.score == 0.1  # all alike: as the search has them


@pytest.mark.parametrize(("accept", "decision"), [(None, "model"), (0.7, "model"), (0.8, "abstain")])
def test_decisions_are_those_of_the_policy_that_fits_the_scores(accept, decision):
    reranker = open_reranker(SEARCH, Judge(policy=Policy(accept=accept)), None, 10)
    [said] = reranker.answers(found("q"), SEARCH)
    assert said.decision == decision and said.parts["search"].decision == "abstain"


def test_chunks_are_small_enough_to_hold_what_is_judged():
    searcher = Judge()
    assert searcher.chunk == CHUNK
    searcher.reranker = open_reranker(SEARCH, Judge(), None, 100)
    assert searcher.chunk == CHUNK // 100


@pytest.mark.parametrize("labels", [("0", "1"), ("No", "YES"), ("false", "true"), ("否", "是")])
def test_of_a_yes_and_a_no_the_yes_is_taken(labels):
    assert open_reranker(SEARCH, Judge(labels=labels), None, 10).label == labels[1]


@pytest.mark.parametrize("labels", [("0", "1", "2"), ("1", "2"), ("match", "other"), ("1", "yes")])
def test_where_it_is_not_clear_which_label_means_a_match_it_is_asked_for(labels):
    with pytest.raises(
        UsageError, match=r"Which label of runs/some/bundle says that a document answers.*--rerank-label"
    ):
        open_reranker(SEARCH, Judge(labels=labels), None, 10)


@pytest.mark.parametrize(
    ("by", "label", "depth", "error", "said"),
    [
        (
            Judge(labels=("same", "other")),
            "sam",
            10,
            UsageError,
            "no label 'sam'. Did you mean 'same'. Its labels: same",
        ),
        (Judge({"name": "sentence_pair", "regression": True}), "1", 10, UsageError, "gives numbers and no labels"),
        (Judge("matching"), None, 10, BundleError, "it is for matching, which searches by itself. Name a bundle that"),
        (Judge("text_classification"), None, 10, BundleError, "cannot re-rank: it is for text_classification. Name a"),
        (Judge({"name": "text_classification", "texts": ["a", "b"]}), None, 10, BundleError, "cannot re-rank"),
        (Judge("question_answering"), None, 10, BundleError, "cannot re-rank: it is for question_answering"),
        (Judge(), None, 9, UsageError, "9 documents cannot be re-ranked: an answer holds the 10 best"),
        ("nowhere", None, 10, BundleError, "There is no bundle nowhere"),
    ],
)
def test_what_cannot_rerank_is_refused_in_one_message(by, label, depth, error, said):
    with pytest.raises(error, match=said):
        open_reranker(SEARCH, by, label, depth)


def test_what_does_not_search_has_nothing_to_rerank():
    with pytest.raises(BundleError, match="is for sentence_pair: it finds no documents that could be put into another"):
        open_reranker(bundle("sentence_pair"), Judge(), None, 10)
