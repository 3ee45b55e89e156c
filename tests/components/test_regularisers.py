"""What each regulariser computes, on which places. What all promise is in tunewright/testing/kinds/regularisers.py."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional

from tunewright.core import catalog
from tunewright.core.errors import RecipeError
from tunewright.core.recipe_file import from_mapping
from tunewright.models import surgery
from tunewright.testing import materials
from tunewright.training.passes import attached, check_regularisers, passes

TEXTS = ("a good film", "bad bad book, so bad", "x")


def regulariser(name: str, **settings):
    return catalog.create("regularisers", {"name": name, **settings})


def computing(model, *regularisers, objective="cross_entropy", class_weights=None):
    chosen = catalog.create("objectives", objective)
    return passes(chosen, attached(model, chosen, regularisers), forward=model, class_weights=class_weights)


def rows(labels=(0, 1, 2), texts=TEXTS):
    return {**materials.batch(texts), "labels": torch.tensor(labels)}


def training(dropout=0.0, head="pooled", packed=False):
    model = materials.model(head, dropout=dropout)
    if packed:
        model.pack()
        assert model._packed is not None
    return model.train()


def moved_a_little(model):
    """Weights that are no longer the pretrained ones."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn(value.shape, generator=random), alpha=0.02)
    return model


# ---------------------------------------------------------------------------------------------------- adversarial

KINDS = {"fgm": 2, "pgd": 4, "freelb": 3}  # and how often each goes through the network


def embedded(model, compute, batch):
    """What stands behind all embeddings of each pass, before their norm: (batch, tokens, hidden)."""
    found = []
    hook = model.backbone.embeddings.LayerNorm.register_forward_pre_hook(
        lambda _, given: found.append(given[0].detach())
    )
    done = compute(batch)
    hook.remove()
    return found, done


def lengths(moves):
    return moves.flatten(1).norm(dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_adversarial_moves_the_words_of_real_tokens_within_the_radius_and_nothing_else(kind):
    model, batch = training(), rows()
    [plain], _ = embedded(model, computing(model), batch)
    found, _ = embedded(model, computing(model, regulariser("adversarial", kind=kind, epsilon=0.2)), batch)
    assert len(found) == KINDS[kind]
    real = batch["attention_mask"].bool()
    words = surgery.word_embeddings(model.backbone)(batch["input_ids"]).detach() * real.unsqueeze(-1)
    radius = 0.2 * lengths(words)
    moves = [one - plain for one in found]
    for move in moves:
        assert bool((move[~real] == 0).all()), "padding is moved"
        assert bool((lengths(move) <= radius * (1 + 1e-4)).all())
    if kind == "freelb":
        start = lengths(moves[0])  # uniform within ε/√n in every direction: about ε/√3 long
        assert bool(((start > radius * 0.4) & (start < radius * 0.75)).all())
    else:
        assert bool((moves[0] == 0).all())
    if kind == "fgm":
        torch.testing.assert_close(lengths(moves[1]), radius, rtol=1e-3, atol=0)
    assert all(bool((lengths(move[real].unsqueeze(0)) > 0).all()) for move in moves[1:])


def test_fgm_moves_along_the_gradient_of_a_rows_loss():
    model, batch = training(), rows()
    (plain, moved), _ = embedded(model, computing(model, regulariser("adversarial")), batch)
    words = surgery.word_embeddings(model.backbone)(batch["input_ids"]).detach().requires_grad_(True)
    hidden = model.backbone(inputs_embeds=words, attention_mask=batch["attention_mask"]).last_hidden_state
    logits = model.head(hidden, batch["attention_mask"])
    functional.cross_entropy(logits, batch["labels"], reduction="sum").backward()
    real = batch["attention_mask"].unsqueeze(-1)
    slope = words.grad * real
    expected = 0.1 * lengths(words.detach() * real).view(-1, 1, 1) * slope / lengths(slope).view(-1, 1, 1)
    torch.testing.assert_close(moved - plain, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["fgm", "pgd"])
def test_the_adversarial_loss_is_the_mean_of_the_plain_and_a_larger_one(kind):
    model, batch = training(), rows()
    plain = computing(model)(batch).losses
    both = computing(model, regulariser("adversarial", kind=kind))(batch).losses
    assert bool((both > plain).all())


def test_pgd_finds_worse_places_than_fgm():
    model, batch = training(), rows()
    losses = [
        computing(model, regulariser("adversarial", kind=kind, epsilon=0.5))(batch).losses.sum().item()
        for kind in ("fgm", "pgd")
    ]
    assert losses[1] > losses[0]


def test_freelb_climbs_from_a_random_place_and_averages_all_places():
    model, batch = training(), rows()
    torch.manual_seed(0)
    one = computing(model, regulariser("adversarial", kind="freelb", steps=1))(batch).losses
    torch.manual_seed(0)
    two = computing(model, regulariser("adversarial", kind="freelb", steps=2))(batch).losses
    second = 2 * two - one  # the first place is the same
    assert bool((second > one).all())


@pytest.mark.parametrize("kind", KINDS)
def test_adversarial_is_the_same_without_padding(kind):
    found = []
    for packed in (False, True):
        model = training(packed=packed)
        torch.manual_seed(0)
        done = computing(model, regulariser("adversarial", kind=kind))(rows())
        done.losses.sum().backward()
        found.append([done.losses.detach(), model.backbone.encoder.layer[0].output.dense.weight.grad])
    for plain, packed in zip(*found, strict=True):
        torch.testing.assert_close(plain, packed, rtol=1e-3, atol=1e-4)


def test_a_rows_adversary_does_not_depend_on_the_rows_beside_it():
    model, batch = training(), rows()
    whole = computing(model, regulariser("adversarial", kind="pgd"))(batch).losses
    alone = [
        computing(model, regulariser("adversarial", kind="pgd"))({k: v[i : i + 1] for k, v in batch.items()}).losses
        for i in range(len(TEXTS))
    ]
    torch.testing.assert_close(whole, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_adversarial_reaches_the_words_through_frozen_ones():
    model = catalog.create("methods", "linear_probe").apply(training())
    plain, both = computing(model)(rows()).losses, computing(model, regulariser("adversarial"))(rows()).losses
    assert bool((both > plain).all())


def test_fgm_refuses_more_steps_than_it_makes():
    with pytest.raises(RecipeError, match=r"train\.regularisers\.0: fgm makes one step, and steps is 4; pgd"):
        recipe([{"name": "adversarial", "steps": 4}])


def recipe(regularisers):
    return from_mapping(
        {"task": "text_classification", "data": {"train": "a.csv"}, "train": {"regularisers": regularisers}}
    )


# ----------------------------------------------------------------------------------------------------------- r_drop

GOLD = {
    "cross_entropy": [0, 1, 2],
    "focal": [0, 1, 2],
    "binary_cross_entropy": [[1.0, 0, 0], [0, 1, 1], [0, 0, 0]],
}


def kl(p, q):
    return (p * (p.log() - q.log())).sum(dim=-1)


@pytest.mark.parametrize("objective", GOLD)
def test_r_drop_is_both_losses_and_the_divergence_of_both_ways(objective):
    model, batch = training(dropout=0.2), rows(GOLD[objective])
    torch.manual_seed(1)
    found = computing(model, regulariser("r_drop", alpha=3.0), objective=objective)(batch)
    torch.manual_seed(1)
    first, second = (computing(model, objective=objective)(batch) for _ in range(2))
    assert not torch.equal(first.logits, second.logits)
    if batch["labels"].is_floating_point():
        p, q = (torch.stack([one.logits.sigmoid(), (-one.logits).sigmoid()], -1) for one in (first, second))
        apart = ((kl(p, q) + kl(q, p)) / 2).mean(dim=1)
    else:
        p, q = first.logits.softmax(-1), second.logits.softmax(-1)
        apart = (kl(p, q) + kl(q, p)) / 2
    torch.testing.assert_close(found.losses, (first.losses + second.losses) / 2 + 3 * apart)
    assert torch.equal(found.logits, first.logits)


def test_r_drop_leaves_out_tokens_without_a_label():
    model, batch = training(dropout=0.2, head="tokens"), materials.batch(TEXTS)
    tags = torch.where(batch["attention_mask"].bool(), 1, -100)
    tags[:, 0] = -100
    batch["labels"] = tags
    objective = catalog.create("objectives", "cross_entropy")
    first, second = model(batch), model(batch)
    p, q = first.softmax(-1), second.softmax(-1)
    tokens = (kl(p, q) + kl(q, p)) / 2
    expected = torch.stack([tokens[i][tags[i] != -100].mean() for i in range(len(TEXTS))])
    torch.testing.assert_close(objective.divergence(first, second, tags), expected)
    assert bool(torch.isfinite(computing(model, regulariser("r_drop"))(batch).losses).all())


def test_numbers_are_as_far_apart_as_the_square_of_their_difference():
    objective = catalog.create("objectives", "squared_error")
    apart = objective.divergence(torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0], [2.0]]), torch.zeros(2))
    assert apart.tolist() == [9.0, 0.0]


def test_class_weights_count_in_the_losses_and_not_in_the_divergence():
    weights = torch.tensor([5.0, 1.0, 0.2])
    model, batch = training(dropout=0.2), rows()
    found = []
    for alpha in (1.0, 2.0):
        for given in (None, weights):
            torch.manual_seed(1)
            found.append(computing(model, regulariser("r_drop", alpha=alpha), class_weights=given)(batch).losses)
    plain, weighed, plain_twice, weighed_twice = found
    torch.testing.assert_close(plain_twice - plain, weighed_twice - weighed)
    assert not torch.allclose(plain, weighed)


@pytest.mark.parametrize("settings", [{"name": "r_drop"}, {"name": "contrastive", "positives": "dropout"}])
def test_two_equal_passes_are_refused_before_any_step(settings):
    check = catalog.create("objectives", "cross_entropy"), (catalog.create("regularisers", settings),), rows()
    model = training().eval()
    with pytest.raises(RecipeError, match=f"{settings['name']} compares two passes, and here .* model.dropout: 0.1"):
        check_regularisers(model, *check)
    assert not model.training
    check_regularisers(training(dropout=0.1), *check)


def test_an_objective_that_knows_no_divergence_is_told_so():
    from tunewright.core.contracts import Objective

    class Other(Objective):
        def loss(self, logits, labels, class_weights):
            return logits.sum(dim=1)

    with pytest.raises(RecipeError, match=r"train.objective: Other does not say how far two answers are apart"):
        check_regularisers(training(dropout=0.1), Other(), (regulariser("r_drop"),), rows())


def test_dropout_inside_an_adapter_is_drawn_anew_in_each_pass_without_padding():
    model = materials.model()
    model.pack()
    model = catalog.create("methods", {"name": "lora", "dropout": 0.5}).apply(model)
    model = moved_a_little(model).train()
    assert not model._packed.drops
    first, second = model(rows()), model(rows())
    assert not torch.equal(first, second)
    check_regularisers(model, catalog.create("objectives", "cross_entropy"), (regulariser("r_drop"),), rows())


# ----------------------------------------------------------------------------------------------------------- mixout


def test_mixout_puts_a_share_of_each_matrix_back_and_keeps_the_mean():
    model = training()
    start = model.backbone.encoder.layer[1].intermediate.dense.weight.detach().clone()
    compute = computing(model, regulariser("mixout", probability=0.6))
    moved_a_little(model)
    map_, found = model.backbone.encoder.layer[1].intermediate.dense, []
    model.head.output.register_forward_hook(lambda *_: found.append(map_.weight.detach().clone()))
    done = compute(rows())
    done.losses.sum().backward()
    [mixed] = found
    back = mixed == start
    own = map_.weight.detach()
    assert back.float().mean().item() == pytest.approx(0.6, abs=0.04)
    torch.testing.assert_close(mixed[~back], (start + (own - start) / 0.4)[~back])
    assert bool((map_.weight.grad[back] == 0).all()) and bool((map_.weight.grad[~back] != 0).any())


def test_mixout_leaves_head_embeddings_biases_and_norms_alone():
    model = training()
    compute = computing(model, regulariser("mixout"))
    moved_a_little(model)
    inside, own = {}, dict(model.named_parameters())
    model.head.output.register_forward_hook(
        lambda *_: inside.update(
            {
                f"{place}.{name}".lstrip("."): value
                for place, module in model.named_modules()
                for name, value in module._parameters.items()
            }
        )
    )
    compute(rows())
    changed = {name for name, value in own.items() if inside[name] is not value}
    maps = {name for names in surgery.linear_maps(model.backbone).values() for name in names}
    assert changed == {f"backbone.{name}.weight" for name in maps}


def test_mixout_draws_anew_in_each_pass_also_without_padding():
    model = training(packed=True)
    compute = computing(model, regulariser("mixout"))
    moved_a_little(model)

    def six_passes():
        torch.manual_seed(0)
        return [compute(rows()).logits.detach() for _ in range(6)]

    packed = six_passes()
    model._packed = None
    for one, plain in zip(packed, six_passes(), strict=True):
        torch.testing.assert_close(one, plain, rtol=0, atol=1e-4)
    assert all(not torch.allclose(one, next_, atol=1e-3) for one, next_ in itertools.pairwise(packed))


def test_what_is_computed_for_a_pass_is_not_taken_for_the_next_ones_at_the_same_address():
    encoder = training(packed=True)._packed
    weight, bias = (torch.zeros(size, requires_grad=True) for size in ((2, 2), (2,)))
    for number in (1.0, 2.0):
        weight.data.fill_(number)  # unnoticed, as where the allocator gives the place of one pass's weights to the next
        working, _ = encoder._working((0, "up"), [weight.view(2, 2), bias.view(2)], torch.bfloat16)
        assert bool((working == number).all())


def test_mixout_needs_a_method_that_trains_pretrained_matrices():
    for method in ("lora", "dora", "ia3", "bitfit", "linear_probe"):
        model = catalog.create("methods", method).apply(training())
        with pytest.raises(
            RecipeError, match=r"train\.method trains none of them\. Leave out mixout, or set train.method"
        ):
            computing(model, regulariser("mixout"))
    model = catalog.create("methods", {"name": "freeze", "layers": 1}).apply(training())
    compute = computing(model, regulariser("mixout"))
    moved_a_little(model)
    assert not torch.equal(compute(rows()).logits, compute(rows()).logits)


# ------------------------------------------------------------------------------------------------------ contrastive


def unit_rows(seed, count=5):
    return functional.normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_rows_of_one_label_are_drawn_together_as_in_the_paper():
    from tunewright.components.regularisers.contrastive import label_contrast

    features, labels = unit_rows(0), [0, 1, 0, 2, 0]
    expected = []
    for i in range(5):
        others = [a for a in range(5) if a != i]
        alike = [a for a in others if labels[a] == labels[i]]
        scores = {a: math.exp(float(features[i] @ features[a]) / 0.3) for a in others}
        expected.append(-sum(math.log(scores[a] / sum(scores.values())) for a in alike) / max(1, len(alike)))
    found = label_contrast(features, torch.tensor(labels), 0.3)
    torch.testing.assert_close(found, torch.tensor(expected))
    assert found[1] == found[3] == 0 and bool((found[[0, 2, 4]] > 0).all())


def test_two_passes_of_a_row_are_told_from_those_of_other_rows():
    from tunewright.components.regularisers.contrastive import pair_contrast

    features, others = unit_rows(0), unit_rows(1)
    expected = []
    for i in range(5):
        scores = [math.exp(float(features[i] @ others[a]) / 0.05) for a in range(5)]
        expected.append(-math.log(scores[i] / sum(scores)))
    torch.testing.assert_close(pair_contrast(features, others, 0.05), torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_the_contrast_takes_its_share_of_the_loss():
    from tunewright.components.regularisers.contrastive import label_contrast

    model, batch = training(), rows((0, 1, 0))
    contrast = label_contrast(functional.normalize(model.pooled(batch), dim=1), batch["labels"], 0.1)
    expected = 0.75 * computing(model)(batch).losses + 0.25 * contrast
    found = computing(model, regulariser("contrastive", weight=0.25))(batch)
    torch.testing.assert_close(found.losses, expected)


NO_SINGLE_LABEL = {
    "several labels": ("pooled", "binary_cross_entropy", lambda batch: torch.ones(len(TEXTS), 3)),
    "tags": ("tokens", "cross_entropy", lambda batch: torch.where(batch["attention_mask"].bool(), 1, -100)),
}


@pytest.mark.parametrize("what", NO_SINGLE_LABEL)
def test_rows_without_a_single_label_are_contrasted_by_dropout_alone(what):
    head, objective, gold = NO_SINGLE_LABEL[what]
    model, batch = training(dropout=0.1, head=head), materials.batch(TEXTS)
    batch["labels"] = gold(batch)
    with pytest.raises(
        RecipeError, match=r"no single label of a row\. Set it to {name: contrastive, positives: dropout}"
    ):
        computing(model, regulariser("contrastive"), objective=objective)(batch)
    done = computing(model, regulariser("contrastive", positives="dropout"), objective=objective)(batch)
    done.losses.sum().backward()
    assert done.losses.shape == (3,) and bool(torch.isfinite(done.losses).all())


def test_padding_does_not_count_in_the_features_of_tokens():
    from tunewright.components.regularisers.contrastive import _unit

    features = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    other = torch.where(mask.bool().unsqueeze(-1), features, torch.full_like(features, 7.0))
    batch = {"attention_mask": mask}
    torch.testing.assert_close(_unit(features, batch), _unit(other, batch))


# -------------------------------------------------------------------------------------------------------- together

# Head, outputs, objective and labels of each form of a task.
FORMS = {
    "labels": ("pooled", 3, "cross_entropy", lambda batch: torch.tensor([0, 1, 0])),
    "focus": ("pooled", 3, "focal", lambda batch: torch.tensor([0, 1, 0])),
    "several labels": ("pooled", 3, "binary_cross_entropy", lambda batch: torch.eye(3)),
    "tags": ("tokens", 3, "cross_entropy", lambda batch: torch.where(batch["attention_mask"].bool(), 1, -100)),
    "numbers": ("pooled", 1, "squared_error", lambda batch: torch.tensor([0.5, 2.0, -1.0])),
}
FOR_ALL = (
    *({"name": "adversarial", "kind": kind} for kind in KINDS),
    {"name": "contrastive", "positives": "dropout"},
    {"name": "mixout"},
    {"name": "r_drop"},
)


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_a_task_can_be_regularised(form):
    head, outputs, objective, gold = FORMS[form]
    batch = materials.batch(TEXTS)
    batch["labels"] = gold(batch)
    for settings in FOR_ALL:
        model = materials.model(head, materials.LABELS[:outputs], dropout=0.1).train()
        regularised = (catalog.create("regularisers", settings),)
        check_regularisers(model, catalog.create("objectives", objective), regularised, batch)
        losses = computing(model, *regularised, objective=objective)(batch).losses
        losses.sum().backward()
        assert losses.shape == (3,) and bool(torch.isfinite(losses).all()), settings
        assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None), settings


def test_each_regulariser_stands_around_those_before_it():
    model, batch, calls = training(dropout=0.1), rows(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    computing(model, regulariser("r_drop"), regulariser("adversarial", kind="pgd"), regulariser("contrastive"))(batch)
    assert len(calls) == 2 * 4


def test_a_recipe_lists_them_and_gives_them_back(tmp_path):
    from tunewright.core import recipe_file

    made = recipe(["r_drop", {"name": "adversarial", "kind": "pgd"}])
    assert made.train.regularisers == (regulariser("r_drop"), regulariser("adversarial", kind="pgd"))
    (tmp_path / "recipe.yaml").write_text(recipe_file.to_yaml(made), encoding="utf-8")
    assert recipe_file.load(tmp_path / "recipe.yaml").train.regularisers == made.train.regularisers
    assert recipe([]).train.regularisers == ()
