"""A network learns how another attends: nothing is missing where both are one, padding has no part, and nothing stays behind."""

from __future__ import annotations

import copy

import pytest
import torch

from tunewright.models import relations
from tunewright.models.model import build_model
from tunewright.models.relations import imitating
from tunewright.testing import tiny_backbone
from tunewright.testing.materials import LABELS

BOTH = {"attention": 1.0, "states": 1.0}


@pytest.fixture(scope="module", params=["bert", "roberta", "distilbert"])
def teacher(request, tmp_path_factory):
    from tunewright.core import catalog

    folder = tiny_backbone(tmp_path_factory.mktemp("teacher"), family=request.param)
    return build_model(folder, catalog.create("heads", "pooled"), LABELS)


def features(rows=3, tokens=7, padding=0):
    ids = torch.randint(10, 200, (rows, tokens), generator=torch.Generator().manual_seed(0))
    ids = torch.cat([ids, torch.zeros(rows, padding, dtype=torch.long)], dim=1)
    mask = (torch.arange(tokens + padding) < tokens).long().expand(rows, -1)
    return {"input_ids": ids, "attention_mask": mask}


def another(teacher):
    made = copy.deepcopy(teacher)
    with torch.no_grad():
        for parameter in made.backbone.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return made


def same_ids():
    return torch.arange(1000)


def term(pupil, teacher, batch, pieces=None, **weights):
    pieces = same_ids() if pieces is None else pieces
    with imitating(pupil, teacher, pieces, **{"attention": 0.0, "states": 0.0, **weights}):
        pupil(batch)
        return pupil.penalty()


def value(loss):
    return float(loss.detach())


@pytest.mark.parametrize("weights", [{"attention": 1.0}, {"states": 1.0}])
def test_it_is_zero_for_the_same_network_and_grows_with_the_weight(teacher, weights):
    batch = features()
    assert value(term(copy.deepcopy(teacher), teacher, batch, **weights)) == pytest.approx(0.0, abs=1e-6)
    once = value(term(another(teacher), teacher, batch, **weights))
    twice = value(term(another(teacher), teacher, batch, **{name: 2 * value for name, value in weights.items()}))
    assert once > 1e-5 and twice == pytest.approx(2 * once, rel=1e-4)


def test_padding_has_no_part_in_it(teacher):
    pupil = another(teacher)
    expected = value(term(pupil, teacher, features(), **BOTH))
    assert value(term(pupil, teacher, features(padding=4), **BOTH)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("weights", [{"attention": 1.0}, {"states": 1.0}])
def test_steps_along_its_gradient_bring_the_pupil_nearer_and_leave_the_teacher(teacher, weights):
    pupil, batch = another(teacher), features()
    before = [parameter.clone() for parameter in teacher.parameters()]
    first = value(term(pupil, teacher, batch, **weights))
    descent = torch.optim.SGD(pupil.parameters(), lr=0.1)
    for _ in range(10):
        descent.zero_grad()
        term(pupil, teacher, batch, **weights).backward()
        descent.step()
    assert value(term(pupil, teacher, batch, **weights)) < 0.9 * first
    assert all(torch.equal(one, other) for one, other in zip(before, teacher.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_teacher_is_asked_in_its_own_ids(teacher):
    """A pupil whose vocabulary stands in another order, with its table in that order, is the same network."""
    pupil, size = copy.deepcopy(teacher), teacher.backbone.get_input_embeddings().num_embeddings
    order = torch.randperm(size, generator=torch.Generator().manual_seed(2))
    order = torch.cat([torch.tensor([0]), order[order != 0]])  # padding stays, where positions are counted from it
    with torch.no_grad():
        table = pupil.backbone.get_input_embeddings().weight
        table.copy_(teacher.backbone.get_input_embeddings().weight[order])
    batch = features()
    assert value(term(pupil, teacher, batch, pieces=order, **BOTH)) == pytest.approx(0.0, abs=1e-6)
    assert value(term(pupil, teacher, batch, **BOTH)) > 1e-3


def test_nothing_stays_behind(teacher):
    pupil = another(teacher)
    term(pupil, teacher, features(), **BOTH)
    assert pupil.penalty is None
    for model in (pupil, teacher):
        assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())


def test_a_network_without_attention_is_told_of(tmp_path):
    from torch import nn

    assert relations.lacks(nn.Embedding(3, 4)) == "its layers have no maps of query"
