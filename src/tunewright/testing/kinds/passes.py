"""What a compression pass promises: a whole network again, that is saved and opened like any other, and says what it cannot do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Compressible, CompressionPass, Evidence, Imitation
from tunewright.core.types import Example
from tunewright.testing import materials
from tunewright.testing.conformance import Subject

if TYPE_CHECKING:
    from tunewright.models.model import Model

TASK = {"pooled": "text_classification", "tokens": "token_classification"}


def its_network_is_whole(subject: Subject) -> None:
    """What it gives back answers every text: finite logits, of the same shapes as before."""
    for head in TASK:
        given = _given(head)
        before = _logits(given)
        if subject.create().lacks(given) and not given.model.head_kind.pools:
            continue
        made = _applied(subject, given, head)
        assert isinstance(made, Compressible)
        after = _logits(made)
        assert len(before) == len(after)
        assert all(np.isfinite(one).all() for one in after)
        assert [one.shape[-1] for one in before] == [other.shape[-1] for other in after]


def it_takes_nothing_from_the_original(subject: Subject) -> None:
    """It changes the modules it is given and nothing else: the evidence's functions and rows are asked, not altered."""
    import torch

    other = _given("pooled")
    before = {name: value.clone() for name, value in other.model.state_dict().items()}
    _applied(subject, _given("pooled"), "pooled")
    assert all(torch.equal(value, before[name]) for name, value in other.model.state_dict().items())


def it_adds_no_weights(subject: Subject) -> None:
    """Compressed is not larger; how large a backbone is that takes its place, is for the user to choose."""
    if subject.cls.rereads:
        return
    given = _given("pooled")
    before = _weights(given.model)
    assert _weights(_applied(subject, given, "pooled").model) <= before


def an_exact_one_changes_no_answer(subject: Subject) -> None:
    """Where it says so, every row of the data keeps its logits."""
    if not subject.cls.exact:
        return
    before = _logits(_given("pooled"))
    after = _logits(_applied(subject, _given("pooled"), "pooled"))
    assert max(float(np.abs(one - other).max()) for one, other in zip(before, after, strict=True)) <= 1e-5


def its_network_is_saved_and_opened(subject: Subject) -> None:
    """Saved in the hub's layout and opened again, the network gives the same answers; where it says
    so, and plain `transformers` opened the original, that opens this too."""
    from tunewright.core.files import read_json
    from tunewright.models.layout import load_model, save_model
    from tunewright.models.processor import Processor

    made = _applied(subject, _given("pooled"), "pooled")
    expected, folder = _logits(made), subject.folder / "model"
    save_model(made.model.to("cpu").eval(), folder, multi_label=False)
    made.processor.save(folder)
    opened = Compressible(load_model(folder), Processor.load(folder))
    for one, other in zip(expected, _logits(opened), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4)
    opens = read_json(folder / "config.json")["tunewright"].get("transformers", True)
    assert opens or not subject.cls.plain, "plain transformers cannot open it"


def what_it_cannot_serve_is_said_and_nothing_is_changed(subject: Subject) -> None:
    """`lacks` gives a few words, "" for a network that it serves, and leaves the network as it was."""
    given = _given("pooled")
    before = _logits(given)
    said = subject.create().lacks(given)
    assert said == "", f"it does not serve an encoder of BERT's kind: {said}"
    assert all(np.array_equal(one, other) for one, other in zip(before, _logits(given), strict=True))


def one_seed_gives_the_same_network(subject: Subject) -> None:
    """The same network and rows give the same weights every time."""
    import torch

    first, second = (_applied(subject, _given("pooled"), "pooled").model.state_dict() for _ in range(2))
    assert list(first) == list(second)
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def _given(head: str) -> Compressible:
    return Compressible(materials.model(head).eval(), materials.processor())


def _applied(subject: Subject, given: Compressible, head: str) -> Compressible:
    made: CompressionPass = subject.create()
    assert not made.lacks(given)
    return made.apply(given, _evidence(head))


def _rows() -> list[Example]:
    return [Example(f"rows.csv:{line}", {"text": text}) for line, text in enumerate(materials.TEXTS, 2)]


def _evidence(head: str) -> Evidence:
    """Evidence about made-up rows, with functions as simple as can be."""
    task: Any = catalog.create("tasks", TASK[head])
    original = _given(head)

    def losses(given: Compressible) -> Iterator[Any]:
        for features in _batches(given):
            yield given.model(features).square().mean()

    def value(given: Compressible) -> tuple[float, float]:
        pairs = zip(_logits(given), _logits(original), strict=True)
        return 0.0, -float(np.mean([np.abs(one - other).mean() for one, other in pairs]))

    def imitate(given: Compressible, how: Imitation) -> Compressible:
        import torch

        assert how.epochs > 0 and how.temperature > 0 and how.hidden >= 0 and how.rate > 0
        with torch.no_grad():
            given.model.head.output.bias.add_(1e-3)
        return given

    def hidden(given: Compressible, windows: Sequence[Any]) -> list[np.ndarray]:
        from tunewright.models.inference import hidden as states

        return states(given.model, windows, pad_id=given.processor.pad_id)

    def fit_head(given: Compressible) -> Compressible:
        import torch

        with torch.no_grad():
            given.model.head.output.weight.fill_(0.01)
        return given

    functions = {"losses": losses, "value": value, "imitate": imitate, "hidden": hidden, "fit_head": fit_head}
    return Evidence(task, materials.LABELS, _rows(), _rows(), **functions)


def _encoded(given: Compressible) -> list[dict[str, np.ndarray]]:
    texts = [str(row.inputs["text"]) for row in _rows()]
    return [dict(window.features) for parts in given.processor.encode(texts) for window in parts]


def _batches(given: Compressible) -> Iterator[dict[str, Any]]:
    import torch

    from tunewright.models.batches import padded

    windows = _encoded(given)
    for start in range(0, len(windows), 4):
        arrays = padded(windows[start : start + 4], given.processor.pad_id)
        yield {name: torch.from_numpy(array) for name, array in arrays.items()}


def _logits(given: Compressible) -> Sequence[np.ndarray]:
    from tunewright.models.inference import outputs

    given.model.pack()
    return outputs(given.model, _encoded(given), pad_id=given.processor.pad_id)


def _weights(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
