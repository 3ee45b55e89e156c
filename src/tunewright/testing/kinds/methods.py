"""What a method promises: it trains what it says and nothing else, merges without a trace, and can be saved alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tunewright.testing import materials
from tunewright.testing.conformance import Subject

if TYPE_CHECKING:
    from tunewright.models.model import Model

STEPS = 3


def only_what_it_says_trains(subject: Subject) -> None:
    """After some steps the trained parameters have moved, the head among them; the rest has the same bits as before."""
    import torch

    model = _applied(subject)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    _train(subject, model)
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    trained = set(model.trained_parameters())
    assert trained, "nothing trains"
    assert moved <= trained, f"these moved and were not to: {sorted(moved - trained)[:3]}"
    assert any(name.startswith("head.") for name in moved), "the head does not train"
    assert moved == trained, f"these were to train and did not: {sorted(trained - moved)[:3]}"
    plain = dict(materials.model().named_buffers())
    assert all(torch.equal(value, plain[name]) for name, value in model.named_buffers() if name in plain)


def coming_to_a_step_again_changes_nothing(subject: Subject) -> None:
    """Once a step's gradients are gone, `at` may be called for it as often as one likes: resuming depends on it."""
    import torch

    model = _train(subject, _applied(subject))
    before = {name: value.detach().clone() for name, value in model.changing().items()}
    training = [name for name, value in model.named_parameters() if value.requires_grad]
    subject.create().at(model, STEPS, STEPS)
    assert all(torch.equal(value, before[name]) for name, value in model.changing().items())
    assert training == [name for name, value in model.named_parameters() if value.requires_grad]


def it_starts_where_the_backbone_stands(subject: Subject) -> None:
    """What it inserts changes no answer before the first step, unless it says so: training starts from what was there."""
    import torch

    if not subject.cls.starts_plain:
        return
    plain, applied = materials.model().eval(), _applied(subject).eval()
    with torch.inference_mode():
        torch.testing.assert_close(applied(materials.batch()), plain(materials.batch()), rtol=0, atol=1e-6)


def merging_changes_no_answer_and_leaves_no_trace(subject: Subject) -> None:
    """A merged network has the backbone's own shape, and answers within 1e-5 of the adapted one; or nothing is merged."""
    import torch

    model = _train(subject, _applied(subject)).eval()
    model.pack()  # as it is in training: what the packed form has kept of weights must not outlive them
    with torch.inference_mode():
        adapted = model(materials.batch())
        merged = subject.create().merge(model).eval()
        difference = float((merged(materials.batch()) - adapted).abs().max())
    assert difference <= 1e-5, f"merging moved a logit by {difference:.2g}"
    if not subject.cls.mergeable:
        assert merged is model and difference == 0
        return
    plain = {name: value.shape for name, value in materials.model().named_parameters()}
    assert {name: value.shape for name, value in merged.named_parameters()} == plain


def it_comes_back_from_a_saved_model(subject: Subject) -> None:
    """Saved in the hub's layout and opened again, the trained network gives the same answers."""
    import torch

    from tunewright.models.layout import load_model, save_model

    method = subject.create()
    model = method.merge(_train(subject, _applied(subject))).eval()
    inserted = None if method.mergeable else method
    save_model(model, subject.folder / "model", multi_label=False, inserted=inserted)
    opened = load_model(subject.folder / "model").eval()
    with torch.inference_mode():
        torch.testing.assert_close(opened(materials.batch()), model(materials.batch()), rtol=1e-4, atol=1e-5)


def its_adapter_is_saved_alone(subject: Subject) -> None:
    """`save_adapter` says whether it wrote one; the head travels with it, and it is smaller than the network."""
    folder = subject.folder / "adapter"
    folder.mkdir()
    model = _train(subject, _applied(subject))
    if not subject.create().save_adapter(model, folder):
        assert not list(folder.iterdir()), "it says that there is no adapter, and wrote one"
        return
    assert (folder / "adapter_config.json").is_file() and (folder / "head.safetensors").is_file()
    assert (folder / "adapter_model.safetensors").stat().st_size < 4 * sum(p.numel() for p in model.parameters())


def its_learning_rate_is_stated_relative_to_full_fine_tuning(subject: Subject) -> None:
    """`rate` is a positive factor."""
    assert 0 < subject.cls.rate < math.inf


def _applied(subject: Subject) -> Model:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return subject.create().apply(materials.model())


def _train(subject: Subject, model: Model) -> Model:
    """Some steps towards a made-up aim, by an optimizer that moves every weight with any gradient at all."""
    import torch

    batch: dict[str, Any] = materials.batch()
    optimizer = torch.optim.Adam(model.trained_parameters().values(), lr=1e-3, eps=1e-30)
    method = subject.create()
    method.at(model, 0, STEPS)
    for step in range(STEPS):
        gold = torch.arange(len(batch["input_ids"])) % len(materials.LABELS)
        loss = torch.nn.functional.cross_entropy(model(batch), gold)
        (loss if model.penalty is None else loss + model.penalty()).backward()
        optimizer.step()
        method.at(model, step + 1, STEPS)
        optimizer.zero_grad()
    return model
