"""Turn texts into the model's tokens, in windows where they are long, and account for every token. No torch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer, processors

from tunewright.core.errors import DataError, ModelError, RecipeError, listing
from tunewright.core.files import read_json, write_json, write_text
from tunewright.models.shared import file_of

SETTINGS_FILE = "processor.json"
SETTINGS = ("max_tokens", "overflow", "stride", "prefix", "document_prefix", "pad_id", "type_ids")
UNLIMITED = 8192  # tokens: the window of a model that states no limit
CHUNK = 1024  # texts tokenized at a time: enough for all cores, and little memory
# Fields of configurations that hold the number of positions, in different families.
POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")


@dataclass(frozen=True)
class Encoded:
    """One window of a text as arrays without the batch axis.

    input_ids, attention_mask, token_type_ids: (tokens,) int32, special tokens included; token_type_ids is None for
    models without; offsets: (tokens, 2) character positions in the text, special tokens (0, 0); second: (tokens,) True
    where the position is one in the pair's second text; tokens: tokens of the text here, without special ones;
    shared: how many of them an earlier window holds too; truncated: tokens that no window of this text holds.
    """

    input_ids: np.ndarray
    attention_mask: np.ndarray
    token_type_ids: np.ndarray | None
    offsets: np.ndarray
    second: np.ndarray
    tokens: int
    shared: int = 0
    truncated: int = 0

    @property
    def features(self) -> dict[str, np.ndarray]:
        """What the model takes, by its argument's name."""
        found = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        return found if self.token_type_ids is None else {**found, "token_type_ids": self.token_type_ids}


class Count(NamedTuple):
    """Tokens of texts without special ones; seen == used + truncated, whatever the windows share."""

    seen: int
    used: int
    truncated: int
    windows: int


def count(encoded: Sequence[Sequence[Encoded]]) -> Count:
    """Add up what `Processor.encode` gave: each token once, however many windows hold it."""
    windows = [window for text in encoded for window in text]
    used = sum(window.tokens - window.shared for window in windows)
    truncated = sum(window.truncated for window in windows)
    return Count(used + truncated, used, truncated, len(windows))


class TooLong(DataError):
    """A text is longer than a window and the recipe says to refuse it. `index`: its place in the encoded list."""

    def __init__(self, index: int, tokens: int, room: int) -> None:
        super().__init__(
            f"Text {index} has {tokens} tokens, and a window holds {room}. data.overflow is refuse: "
            "shorten it, raise data.max_tokens, or set data.overflow to split or truncate."
        )
        self.index, self.tokens, self.room = index, tokens, room


class Template(NamedTuple):
    """Special tokens around one text (`between` and `after`: around and behind the second), with each one's type id."""

    before: list[tuple[int, int]]
    between: list[tuple[int, int]]
    after: list[tuple[int, int]]
    types: tuple[int, int]  # of the first text's tokens and of the second's

    @property
    def size(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


class Processor:
    """A tokenizer with the window's settings: `encode(texts)` gives each text's windows.

    max_tokens: longest window, special tokens and prefix included; overflow: what happens to longer texts ("split",
    "truncate", "refuse"); stride: tokens that neighbouring windows share (at most half a window); prefix: put before
    every text and every window of it, as special tokens; document_prefix: the one of documents, where it is another; type_ids:
    whether the model takes token types.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_tokens: int,
        overflow: str = "split",
        stride: int = 16,
        prefix: str = "",
        document_prefix: str | None = None,
        pad_id: int,
        type_ids: bool,
        described: dict[str, Any] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.max_tokens, self.overflow, self.stride, self.prefix = max_tokens, overflow, stride, prefix
        self.document_prefix = document_prefix
        self.pad_id, self.type_ids = pad_id, type_ids
        self.described = described or {}  # the folder's tokenizer_config.json, so that `save` keeps it
        tokenizer.no_truncation()
        tokenizer.no_padding()
        _keep_parallel()
        if prefix:
            _build_in(prefix, tokenizer)
        self._single, self._pair = _template(tokenizer, pair=False), _template(tokenizer, pair=True)
        if max_tokens <= self._single.size:
            raise RecipeError(
                f"data.max_tokens is {max_tokens}, and {self._single.size} of them are the model's special tokens: "
                f"set at least {self._single.size + 1}."
            )

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        max_tokens: int | None = None,
        overflow: str | None = None,
        stride: int | None = None,
        prefix: str | None = None,
        document_prefix: str | None = None,
    ) -> Processor:
        """Open the tokenizer of a model's folder; what is not given comes from the folder, then from the defaults.

        Raises ModelError when the folder holds no usable tokenizer, RecipeError when `max_tokens` is over its limit.
        """
        folder = Path(folder)
        limit = token_limit(folder)
        if max_tokens is not None and max_tokens > limit:
            raise RecipeError(
                f"data.max_tokens is {max_tokens}, and {folder.name} reads at most {limit} tokens. Make it smaller, or auto."
            )
        saved = read_json(folder / SETTINGS_FILE) if (folder / SETTINGS_FILE).is_file() else {}
        given = {"max_tokens": max_tokens, "overflow": overflow, "stride": stride, "prefix": prefix}
        given["document_prefix"] = document_prefix
        settings = {"max_tokens": limit, **saved, **{name: value for name, value in given.items() if value is not None}}
        tokenizer, described = _open_tokenizer(folder), _described(folder)
        config = _json(folder / "config.json")
        settings.setdefault("pad_id", _pad_id(tokenizer, described, config))
        settings.setdefault("type_ids", config.get("type_vocab_size", 0) > 1 and any(_template(tokenizer, True).types))
        return cls(tokenizer, **settings, described=described)

    def save(self, folder: Path | str) -> None:
        """Write tokenizer.json, tokenizer_config.json (for `transformers`, prefix built in) and processor.json."""
        folder = Path(folder)
        write_text(folder / "tokenizer.json", self.tokenizer.to_str())
        kept = {name: self.described[name] for name in self.described if name.endswith("_token")}
        kept.setdefault("pad_token", self.tokenizer.id_to_token(self.pad_id))
        names = ["input_ids", *(["token_type_ids"] if self.type_ids else []), "attention_mask"]
        description = {**kept, "model_max_length": self.max_tokens, "model_input_names": names}
        write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **description})
        write_json(folder / SETTINGS_FILE, {name: getattr(self, name) for name in SETTINGS})

    @cached_property
    def documents(self) -> Processor:
        """The processor of documents that are searched: this one, unless they have a prefix of their own."""
        if self.document_prefix in (None, self.prefix):
            return self
        settings = {name: getattr(self, name) for name in SETTINGS} | {"prefix": self.document_prefix}
        return Processor(self.plain_tokenizer(), **settings, described=self.described)

    def plain_tokenizer(self) -> Tokenizer:
        """A copy of the tokenizer without the prefix."""
        plain = Tokenizer.from_str(self.tokenizer.to_str())
        _take_out(self.prefix, plain)
        return plain

    @property
    def opens(self) -> bool:
        """Whether every window begins with a special token, or with the prefix."""
        return bool(self._single.before)

    @property
    def unknown_id(self) -> int | None:
        """Id of the piece that stands for what the vocabulary lacks; None where every byte has a piece."""
        name = self.described.get("unk_token") or getattr(self.tokenizer.model, "unk_token", None)
        name = name["content"] if isinstance(name, dict) else name
        return self.tokenizer.token_to_id(name) if isinstance(name, str) else None

    def around(self, piece: int) -> Encoded:
        """The window of a text that is this one piece."""
        text = (np.array([piece], dtype=np.int32), np.zeros((1, 2), dtype=np.int32))
        return self._assemble(self._single, (text, None), ((0, 1), (0, 0)))

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[list[Encoded]]:
        """Windows of every text (with its pair's second text, when `pairs` is given), in order; at least one each.

        Raises TooLong under overflow "refuse", RecipeError when max_tokens leaves a pair no room.
        """
        if pairs is not None and self.max_tokens < self._pair.size + 2:
            raise RecipeError(
                f"data.max_tokens is {self.max_tokens}, and a pair needs {self._pair.size} special tokens: "
                f"set at least {self._pair.size + 2}."
            )
        found: list[list[Encoded]] = []
        for start in range(0, len(texts), CHUNK):
            firsts = self._pieces(texts[start : start + CHUNK])
            seconds = None if pairs is None else self._pieces(pairs[start : start + CHUNK])
            for index, first in enumerate(firsts):
                found.append(self._windows(start + index, first, None if seconds is None else seconds[index]))
        return found

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        """Tokens of every text, special ones and prefix included, without cutting: (texts,) int64."""
        chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
        counts = [len(one.ids) for chunk in chunks for one in self._tokenize(chunk)]
        return np.array(counts, dtype=np.int64) + self._single.size

    def _tokenize(self, texts: Sequence[str]) -> list[Any]:
        # Lone surrogates (half an emoji, from broken JSON) are no text in UTF-8; "?" keeps offsets right.
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return self.tokenizer.encode_batch(whole, add_special_tokens=False)

    def _pieces(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [
            (np.array(one.ids, dtype=np.int32), np.array(one.offsets, dtype=np.int32).reshape(-1, 2))
            for one in self._tokenize(texts)
        ]

    def _windows(self, index: int, first: tuple, second: tuple | None) -> list[Encoded]:
        template = self._single if second is None else self._pair
        room = self.max_tokens - template.size
        lengths = (len(first[0]), 0 if second is None else len(second[0]))
        total = sum(lengths)
        if total <= room:
            return [self._assemble(template, (first, second), ((0, lengths[0]), (0, lengths[1])))]
        if self.overflow == "refuse":
            raise TooLong(index, total, room)
        rooms = _share(room, lengths)
        cuts = [_cut(length, part, self.stride) for length, part in zip(lengths, rooms, strict=True)]
        if self.overflow == "truncate":
            spans = (cuts[0][0], cuts[1][0])
            held = sum(end - start for start, end in spans)
            return [self._assemble(template, (first, second), spans, truncated=total - held)]
        return self._all_windows(template, (first, second), cuts)

    def _all_windows(self, template: Template, texts: tuple, cuts: list[list[tuple[int, int]]]) -> list[Encoded]:
        """Every stretch of the first text with every stretch of the second, so that nothing is lost."""
        found, held = [], [0, 0]
        for one in cuts[0]:
            for two in cuts[1]:
                fresh = max(0, one[1] - held[0]) + max(0, two[1] - held[1])
                held = [max(held[0], one[1]), max(held[1], two[1])]
                shared = one[1] - one[0] + two[1] - two[0] - fresh
                found.append(self._assemble(template, texts, (one, two), shared=shared))
        return found

    def _assemble(self, template: Template, texts: tuple, spans: tuple, shared: int = 0, truncated: int = 0) -> Encoded:
        (first, second), (one, two) = texts, spans
        sizes = [len(template.before), one[1] - one[0], len(template.between), two[1] - two[0], len(template.after)]
        tokens = sum(sizes)
        ids, types = np.zeros(tokens, np.int32), np.zeros(tokens, np.int32)
        offsets, belongs = np.zeros((tokens, 2), np.int32), np.zeros(tokens, bool)
        at = 0
        for special, text, span, kind in (
            (template.before, first, one, template.types[0]),
            (template.between, second, two, template.types[1]),
            (template.after, None, (0, 0), 0),
        ):
            for piece, piece_type in special:
                ids[at], types[at] = piece, piece_type
                at += 1
            if text is not None:
                end = at + span[1] - span[0]
                ids[at:end], offsets[at:end] = text[0][span[0] : span[1]], text[1][span[0] : span[1]]
                types[at:end], belongs[at:end] = kind, text is second
                at = end
        return Encoded(
            input_ids=ids,
            attention_mask=np.ones(tokens, np.int32),
            token_type_ids=types if self.type_ids else None,
            offsets=offsets,
            second=belongs,
            tokens=sizes[1] + sizes[3],
            shared=shared,
            truncated=truncated,
        )


def token_limit(folder: Path | str) -> int:
    """Longest window, in tokens, that the model in `folder` can read, special tokens included.

    Families that count positions from behind the padding id keep that many rows more than they can use (514 for 512).
    """
    folder = Path(folder)
    config = _json(folder / "config.json")
    stated = _described(folder).get("model_max_length")
    limits = [int(stated)] if isinstance(stated, int | float) and 0 < stated < 1e6 else []
    for name in POSITIONS:
        rows = config.get(name)
        if isinstance(rows, int) and rows > 0:
            unused = (config.get("pad_token_id") or 0) + 1
            limits.append(rows - unused if rows % 8 and (rows - unused) % 8 == 0 else rows)
    return min(limits, default=UNLIMITED)


def _share(room: int, lengths: tuple[int, int]) -> tuple[int, int]:
    """Room for each text of a pair: a short one stays whole, two long ones get half each."""
    half = room // 2
    if lengths[1] <= half:
        return room - lengths[1], lengths[1]
    if lengths[0] <= half:
        return lengths[0], room - lengths[0]
    return room - half, half


def _cut(length: int, room: int, stride: int) -> list[tuple[int, int]]:
    """Stretches of at most `room` that cover 0…length; neighbours share `stride`, at most half of `room`."""
    step = room - min(stride, room // 2)
    spans = [(0, min(room, length))]
    while spans[-1][1] < length:
        start = spans[-1][0] + step
        spans.append((start, min(start + room, length)))
    return spans


def _template(tokenizer: Tokenizer, pair: bool) -> Template:
    """Where the tokenizer puts special tokens, read off an encoded example."""
    shown = tokenizer.encode("1", "2") if pair else tokenizer.encode("1")
    parts: list[list[tuple[int, int]]] = [[], [], []]
    types, at = [0, 0], 0
    for piece, kind, special, sequence in zip(
        shown.ids, shown.type_ids, shown.special_tokens_mask, shown.sequence_ids, strict=True
    ):
        if special or sequence is None:
            parts[at].append((piece, kind))
        else:
            types[sequence], at = kind, sequence + 1
    if not pair:
        # One text: what follows it stands in `between`, as the second text is absent.
        return Template(parts[0], parts[1], [], (types[0], 0))
    return Template(parts[0], parts[1], parts[2], (types[0], types[1]))


def _build_in(prefix: str, tokenizer: Tokenizer) -> None:
    """Make `prefix` a part of the tokenizer's own special tokens; nothing happens when it is one already."""
    pieces = tokenizer.encode(prefix.strip(), add_special_tokens=False)
    single, pair = _template(tokenizer, pair=False), _template(tokenizer, pair=True)
    if [piece for piece, _ in single.before][-len(pieces.ids) :] == pieces.ids:
        return
    _write_template(tokenizer, single, pair, pieces)


def _take_out(prefix: str, tokenizer: Tokenizer) -> None:
    """Undo `_build_in`; nothing happens when the prefix is no part of the special tokens."""
    ids = tokenizer.encode(prefix.strip(), add_special_tokens=False).ids
    single, pair = _template(tokenizer, pair=False), _template(tokenizer, pair=True)
    if not ids or [piece for piece, _ in single.before][-len(ids) :] != ids:
        return
    single = single._replace(before=single.before[: -len(ids)])
    pair = pair._replace(before=pair.before[: -len(ids)], between=pair.between[: -len(ids)])
    _write_template(tokenizer, single, pair, None)


def _write_template(tokenizer: Tokenizer, single: Template, pair: Template, prefix: Any) -> None:
    """Put these special tokens around texts, and the encoded `prefix`, where there is one, before each."""
    names = {piece: tokenizer.id_to_token(piece) for part in (*pair[:3], *single[:3]) for piece, _ in part}

    def special(part: list[tuple[int, int]]) -> list[str]:
        return [f"{names[piece]}:{kind}" for piece, kind in part]

    def text(letter: str, kind: int) -> list[str]:
        return [*([f"<prefix>:{kind}"] if prefix else []), f"${letter}:{kind}"]

    one, two = text("A", pair.types[0]), text("B", pair.types[1])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[*special(single.before), *text("A", single.types[0]), *special(single.between)],
        pair=[*special(pair.before), *one, *special(pair.between), *two, *special(pair.after)],
        special_tokens=[
            *([{"id": "<prefix>", "ids": prefix.ids, "tokens": prefix.tokens}] if prefix else []),
            *({"id": name, "ids": [piece], "tokens": [name]} for piece, name in names.items()),
        ],
    )


def _open_tokenizer(folder: Path) -> Tokenizer:
    file = file_of(folder, "tokenizer.json")
    try:
        if file.is_file():
            return Tokenizer.from_file(str(file))
    except Exception as error:
        raise ModelError(f"{file} is no tokenizer that can be read: {error}") from error
    return _converted_tokenizer(folder)


def _converted_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder that has only an older form (vocab.txt, sentencepiece.bpe.model), by `transformers`."""
    try:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, use_fast=True).backend_tokenizer
    except Exception as error:
        have = listing(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "nothing"
        raise ModelError(
            f"{folder} holds no tokenizer.json, and no other tokenizer there could be converted. It holds: {have}. "
            "Save the model with its tokenizer: tokenizer.save_pretrained(folder)."
        ) from error


def _described(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json over special_tokens_map.json."""
    return {**_json(folder / "special_tokens_map.json"), **_json(folder / "tokenizer_config.json")}


def _pad_id(tokenizer: Tokenizer, described: dict[str, Any], config: dict[str, Any]) -> int:
    """The padding piece's id. What stands at padded places is masked, so a model without one pads with any piece."""
    name = described.get("pad_token")
    name = name.get("content") if isinstance(name, dict) else name
    found = tokenizer.token_to_id(name) if isinstance(name, str) else None
    candidates = (found, config.get("pad_token_id"), config.get("eos_token_id"), 0)
    return next(value for value in candidates if isinstance(value, int) and value >= 0)


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}


def _keep_parallel() -> None:
    """Let `tokenizers` use all cores here, and one in processes forked from this one, where its threads are gone."""
    if "TOKENIZERS_PARALLELISM" not in os.environ:
        os.environ["TOKENIZERS_PARALLELISM"] = "true"
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: os.environ.update(TOKENIZERS_PARALLELISM="false"))
