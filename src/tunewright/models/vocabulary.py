"""Take pieces out of a tokenizer's vocabulary, such that texts made of the others keep their very tokens. No torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from tunewright.models.processor import SETTINGS, Processor

Pieces = Callable[[Mapping[str, Any]], list[str]]
WORD_START, INSIDE = (
    "▁",
    "##",
)  # what Unigram puts before a piece that begins a word, and WordPiece before one that does not


def lacks(processor: Processor) -> str:
    """Why pieces cannot be taken out of this tokenizer, in a few words; "" when they can."""
    kind = _parsed(processor)["model"].get("type")
    if kind in KINDS:
        return ""
    return f"its tokenizer is {kind}, of which pieces are made from other pieces"


def pieces(processor: Processor) -> list[str]:
    """The model's pieces in the order of their ids; "" for an id that has none."""
    tokenizer = _parsed(processor)
    names = {index: name for index, name in enumerate(KINDS[tokenizer["model"]["type"]](tokenizer["model"]))}
    names |= {added["id"]: added["content"] for added in tokenizer["added_tokens"]}
    return [names.get(index, "") for index in range(max(names) + 1)]


def bare(piece: str) -> str:
    """A piece without the sign that says where in a word it stands."""
    return piece.removeprefix(INSIDE).removeprefix(WORD_START)


def needed(processor: Processor) -> set[int]:
    """Ids that a tokenizer cannot do without: special and added pieces, those of its template, single characters.

    Of Unigram also the piece of the lowest score: what an unknown character costs follows from it (sentencepiece's
    unigram_model: the lowest score less 10), and with it which way through a text is best.
    """
    tokenizer = _parsed(processor)
    model = tokenizer["model"]
    names = KINDS[model["type"]](model)
    found = {added["id"] for added in tokenizer["added_tokens"]} | set(range(processor.pad_id + 1))
    found |= set(_template_ids(tokenizer.get("post_processor")))
    found |= {index for index, name in enumerate(names) if len(bare(name)) <= 1}
    if processor.unknown_id is not None:
        found.add(processor.unknown_id)
    if isinstance(model["vocab"], list):
        found |= {model["unk_id"], min(range(len(names)), key=lambda index: model["vocab"][index][1])}
    return found - {None}


def without(processor: Processor, kept: Iterable[int]) -> tuple[Processor, np.ndarray]:
    """The processor with these ids alone, and they in their order: what was id kept[i] is now id i.

    Exact for texts all of whose tokens are kept: Unigram's best way through a text stays the best when other ways are
    taken away, and WordPiece's longest match stays the longest.
    """
    order = np.array(sorted(kept))
    new = {int(old): index for index, old in enumerate(order)}
    tokenizer = _parsed(processor)
    model = tokenizer["model"]
    if isinstance(model["vocab"], list):
        model["vocab"] = [model["vocab"][old] for old in order if old < len(model["vocab"])]
        model["unk_id"] = new[model["unk_id"]]
    else:
        model["vocab"] = {name: new[old] for name, old in model["vocab"].items() if old in new}
    for added in tokenizer["added_tokens"]:
        added["id"] = new[added["id"]]
    _renumber(tokenizer.get("post_processor"), new)
    settings = {name: getattr(processor, name) for name in SETTINGS} | {"pad_id": new[processor.pad_id]}
    made = Processor(Tokenizer.from_str(json.dumps(tokenizer)), **settings, described=processor.described)
    return made, order


def _parsed(processor: Processor) -> dict[str, Any]:
    return json.loads(processor.tokenizer.to_str())


def _in_order(model: Mapping[str, Any]) -> list[str]:
    names = [""] * (max(model["vocab"].values()) + 1)
    for name, index in model["vocab"].items():
        names[index] = name
    return names


# Kind of tokenizer → its pieces in the order of their ids.
KINDS: dict[str, Pieces] = {"Unigram": lambda model: [name for name, _ in model["vocab"]], "WordPiece": _in_order}


def _template_ids(part: Any) -> Iterable[int]:
    """Every id in a post-processor: a template's special tokens, or BERT's and RoBERTa's [piece, id]."""
    if not isinstance(part, dict):
        return []
    own = [pair[1] for name, pair in part.items() if name in ("sep", "cls")]
    own += [index for special in part.get("special_tokens", {}).values() for index in special["ids"]]
    return own + [index for inner in part.get("processors", ()) for index in _template_ids(inner)]


def _renumber(part: Any, new: Mapping[int, int]) -> None:
    if not isinstance(part, dict):
        return
    for name in ("sep", "cls"):
        if name in part:
            part[name] = [part[name][0], new[part[name][1]]]
    for special in part.get("special_tokens", {}).values():
        special["ids"] = [new[index] for index in special["ids"]]
    for inner in part.get("processors", ()):
        _renumber(inner, new)
