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
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    _train(model)
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    trained = set(model.trained_parameters())
    assert trained, "nothing trains"
    assert moved <= trained, f"these moved and were not to: {sorted(moved - trained)[:3]}"
    assert any(name.startswith("head.") for name in moved), "the head does not train"
    assert moved == trained, f"these were to train and did not: {sorted(trained - moved)[:3]}"
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers() if name in buffers)


def it_starts_where_the_backbone_stands(subject: Subject) -> None:
    """What it inserts changes no answer before the first step: training starts from the pretrained network."""
    import torch

    plain, applied = materials.model().eval(), _applied(subject).eval()
    with torch.inference_mode():
        torch.testing.assert_close(applied(materials.batch()), plain(materials.batch()), rtol=0, atol=1e-6)


def merging_changes_no_answer_and_leaves_no_trace(subject: Subject) -> None:
    """A merged network has the backbone's own shape, and answers within 1e-5 of the adapted one."""
    import torch

    if not subject.cls.mergeable:
        return
    model = _train(_applied(subject)).eval()
    with torch.inference_mode():
        adapted = model(materials.batch())
        merged = subject.create().merge(model).eval()
        difference = float((merged(materials.batch()) - adapted).abs().max())
    assert difference <= 1e-5, f"merging moved a logit by {difference:.2g}"
    plain = {name: value.shape for name, value in materials.model().named_parameters()}
    assert {name: value.shape for name, value in merged.named_parameters()} == plain


def it_comes_back_from_a_saved_model(subject: Subject) -> None:
    """Saved in the hub's layout and opened again, the trained network gives the same answers."""
    import torch

    from tunewright.models.layout import load_model, save_model

    if not subject.cls.mergeable:
        return
    model = subject.create().merge(_train(_applied(subject))).eval()
    save_model(model, subject.folder / "model", multi_label=False)
    opened = load_model(subject.folder / "model").eval()
    with torch.inference_mode():
        torch.testing.assert_close(opened(materials.batch()), model(materials.batch()), rtol=1e-4, atol=1e-5)


def its_adapter_is_saved_alone_in_pefts_format(subject: Subject) -> None:
    """`save_adapter` says whether it wrote one; what it wrote, PEFT opens, and it is smaller than the network."""
    folder = subject.folder / "adapter"
    folder.mkdir()
    model = _train(_applied(subject))
    if not subject.create().save_adapter(model, folder):
        assert not list(folder.iterdir()), "it says that there is no adapter, and wrote one"
        return
    assert (folder / "adapter_config.json").is_file()
    assert (folder / "adapter_model.safetensors").stat().st_size < 4 * sum(p.numel() for p in model.parameters())


def its_learning_rate_is_stated_relative_to_full_fine_tuning(subject: Subject) -> None:
    """`rate` is a positive factor."""
    assert 0 < subject.cls.rate < math.inf


def _applied(subject: Subject) -> Model:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return subject.create().apply(materials.model())


def _train(model: Model) -> Model:
    """Some steps towards a made-up aim, by an optimizer that moves every weight with any gradient at all."""
    import torch

    batch: dict[str, Any] = materials.batch()
    optimizer = torch.optim.Adam(model.trained_parameters().values(), lr=1e-3, eps=1e-30)
    for _ in range(STEPS):
        gold = torch.arange(len(batch["input_ids"])) % len(materials.LABELS)
        torch.nn.functional.cross_entropy(model(batch), gold).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model
