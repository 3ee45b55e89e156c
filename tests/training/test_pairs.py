"""Queries and documents in a step: what a batch holds, and that memory changes nothing."""

import numpy as np
import pytest
import torch

from tunewright.core import catalog
from tunewright.core.types import Example, Rejected
from tunewright.testing import materials
from tunewright.training.encoded import write_encoded
from tunewright.training.joint import together
from tunewright.training.pairs import IGNORED, NONE, RIGHT, WRONG, Pairs

TASK = catalog.create("tasks", "matching")
DOCUMENTS = ("a good film", "slow " * 50, "这家店很好", "bad food")
ROWS = [("good", 0), ("slow", 1), ("店", 2), ("film", 0), ("nothing", None), ("店 好", 2)]


@pytest.fixture
def pairs(tmp_path):
    processor = materials.processor(max_tokens=24)
    rows = [
        Example(f"rows.csv:{place}", {"query": text}, (DOCUMENTS[gold],) if gold is not None else None)
        for place, (text, gold) in enumerate(ROWS)
    ]
    rows[4] = Example("rows.csv:4", {"query": "nothing"}, Rejected("bad food"))
    queries = write_encoded(TASK.encode(rows, processor, DOCUMENTS), tmp_path / "queries", processor.pad_id)
    examples = [Example(f"d{n}", {"document": text}) for n, text in enumerate(DOCUMENTS)]
    documents = write_encoded(TASK.encode(examples, processor, ()), tmp_path / "documents", processor.pad_id)
    hard = np.array([[3], [NONE], [1], [3], [NONE], [3]])
    return Pairs(queries, documents, hard, {2: np.array([2, 3])})


def test_rows_whose_document_is_no_answer_are_not_trained_on(pairs):
    assert len(pairs) == 5 and pairs.ids(np.arange(5)) == [0, 1, 2, 3, 5]


def test_a_batch_holds_each_document_once_and_says_what_it_is_to_each_query(pairs):
    batch = pairs.batch(np.array([0, 3, 2]))  # of the rows 0, 3 and 2
    assert batch["labels"].tolist() == [
        [RIGHT, WRONG, WRONG, WRONG],
        [RIGHT, WRONG, WRONG, WRONG],
        [WRONG, WRONG, RIGHT, IGNORED],
    ]
    windows = np.bincount(pairs.documents.examples)
    assert windows[1] > 1, "the long document has a single window"
    assert np.bincount(batch["text"]).tolist() == [1, 1, 1, *windows]
    assert batch["weight"].tolist() == batch["attention_mask"].sum(axis=1).tolist()


def test_lengths_count_the_query_its_document_and_its_hard_negatives(pairs):
    for place in range(len(pairs)):
        assert pairs.lengths[place] == pairs.batch(np.array([place]))["attention_mask"].sum()


def test_a_step_cut_to_fit_the_memory_gives_the_same_gradients(pairs):
    model, objective = materials.model().eval(), catalog.create("objectives", "info_nce")
    batch = {name: torch.from_numpy(value) for name, value in pairs.batch(np.arange(len(pairs))).items()}
    seen = []

    def forward(part):
        seen.append(len(part["input_ids"]))
        return model(part)

    found = []
    for most in (10_000, 10):
        model.zero_grad()
        seen.clear()
        losses = objective.loss(together(model, forward, lambda most=most: most)(batch), batch["labels"], None)
        losses.sum().backward()
        found.append([losses.detach(), *(p.grad.clone() for p in model.backbone.parameters() if p.grad is not None)])
        assert sum(seen) == len(batch["input_ids"]) * (1 if most > 1000 else 2) and (len(seen) > 2) == (most == 10)
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-3, atol=1e-5)


def test_dropout_is_the_same_when_a_part_is_computed_again(pairs):
    model = materials.model(dropout=0.3).train()
    batch = {name: torch.from_numpy(value) for name, value in pairs.batch(np.arange(len(pairs))).items()}
    drawn = []

    def forward(part):
        found = model(part)
        drawn.append(found.detach())
        return found

    with torch.utils.checkpoint.set_checkpoint_early_stop(False):  # so that the second pass comes to its end as well
        together(model, forward, lambda: 10)(batch).square().sum().backward()
    parts = len(drawn) // 2
    assert parts > 1
    for first in range(parts):
        assert any(torch.equal(drawn[first], again) for again in drawn[parts:])


def test_a_long_text_is_the_mean_of_its_windows_by_their_tokens(pairs):
    model = materials.model().eval()
    batch = {name: torch.from_numpy(value) for name, value in pairs.batch(np.array([1])).items()}
    with torch.no_grad():
        found = together(model, model, lambda: 10_000)(batch)
        own = model.pooled({name: batch[name][1:] for name in ("input_ids", "attention_mask")})
    weights = batch["weight"][1:, None]
    assert len(own) > 1
    torch.testing.assert_close(found[1], (own * weights).sum(dim=0) / weights.sum())


# ------------------------------------------------------------------------------------------------------ the loss


def loss(features, labels, **settings):
    return catalog.create("objectives", {"name": "info_nce", **settings}).loss(features, labels, None)


def test_the_loss_is_cross_entropy_of_the_cosine_among_the_documents():
    torch.manual_seed(0)
    features, labels = torch.randn(5, 8), torch.tensor([[1, 0, 0], [0, 0, 1]])
    unit = torch.nn.functional.normalize(features, dim=1)
    expected = torch.nn.functional.cross_entropy(unit[:2] @ unit[2:].T / 0.1, torch.tensor([0, 2]), reduction="none")
    torch.testing.assert_close(loss(features, labels, temperature=0.1), expected)


def test_a_document_that_is_right_for_a_query_is_no_negative_of_it():
    torch.manual_seed(0)
    features = torch.randn(4, 8)
    alone = loss(features[:3], torch.tensor([[1], [1]]))
    assert torch.equal(alone, torch.zeros(2))
    torch.testing.assert_close(loss(features, torch.tensor([[1, -100], [1, -100]])), alone)
    assert bool((loss(features, torch.tensor([[1, 0], [1, 0]])) > alone).all())


def test_symmetric_lets_documents_look_for_their_queries_too():
    torch.manual_seed(0)
    features, labels = torch.randn(6, 8), torch.eye(3, dtype=torch.int64)
    unit = torch.nn.functional.normalize(features, dim=1)
    scores, own = unit[:3] @ unit[3:].T / 0.05, torch.arange(3)
    both = [torch.nn.functional.cross_entropy(one, own, reduction="none") for one in (scores, scores.T)]
    torch.testing.assert_close(loss(features, labels, symmetric=True), sum(both) / 2)
    # Two queries of one document are no negatives of one another.
    twice = loss(features[:3], torch.tensor([[1], [1]]), symmetric=True)
    assert torch.equal(twice, torch.zeros(2))


def test_labels_of_another_form_are_refused():
    with pytest.raises(ValueError, match="takes queries and documents"):
        loss(torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))
