"""Networks that write words: one that fills in covered ones, one that translates. Both from a folder or hub id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tunewright.core import spans
from tunewright.core.edits import Place
from tunewright.core.errors import ModelError, RecipeError
from tunewright.data.words import cased, is_han
from tunewright.models.backbone import explained, quiet
from tunewright.models.locate import locate

BATCH = 32  # texts at a time
LONGEST = 512  # tokens of a text that are looked at, where the network allows as many


class FillIn:
    """A masked language model (Devlin et al. 2019). top: likeliest words that are drawn from."""

    def __init__(self, name: str, top: int, key: str) -> None:
        self._model, self._tokenizer = open_network(name, "AutoModelForMaskedLM", key)
        if self._tokenizer.mask_token_id is None:
            raise ModelError(f"{key}: the tokenizer of {name!r} has no mask token, so it cannot fill in words.")
        self._top = top
        self._limit = token_room(self._model, self._tokenizer)
        pieces = self._tokenizer.convert_ids_to_tokens(range(len(self._tokenizer)))
        self._words = [self._tokenizer.convert_tokens_to_string([piece]).strip() for piece in pieces]
        self._kinds = np.array([_kind(p, w) if w.isalpha() else -1 for p, w in zip(pieces, self._words, strict=True)])
        self._kinds[self._tokenizer.all_special_ids] = -1

    def places(self, texts: Sequence[str]) -> list[list[Place]]:
        """Each text's words that are one token: of Chinese each character, of others each word in the vocabulary."""
        return [sorted(self._tokens(text)) for text in texts]

    def fill(
        self, texts: Sequence[str], covered: Sequence[Sequence[Place]], draws: Sequence[np.random.Generator]
    ) -> list[list[str]]:
        """A word for each covered place; another one than stands there, or "" where none is likely."""
        found: list[list[str]] = []
        for start in range(0, len(texts), BATCH):
            part = slice(start, start + BATCH)
            found += self._filled(texts[part], covered[part], draws[part])
        return found

    def _filled(self, texts: Any, covered: Any, draws: Any) -> list[list[str]]:
        import torch

        encoded = self._tokenizer(
            list(texts), truncation=True, max_length=self._limit, padding=True, return_tensors="pt"
        )
        ids = encoded["input_ids"]
        tokens = [[self._tokens(text)[place] for place in places] for text, places in zip(texts, covered, strict=True)]
        before = [ids[row, own].tolist() for row, own in enumerate(tokens)]
        for row, own in enumerate(tokens):
            ids[row, own] = self._tokenizer.mask_token_id
        with torch.inference_mode():
            logits = self._model(**encoded).logits[:, :, : len(self._words)].float()
        return [
            [
                self._drawn(logits[row, token].numpy(), old, text[place[0] : place[1]], draw)
                for token, old, place in zip(own, before[row], places, strict=True)
            ]
            for row, (own, text, places, draw) in enumerate(zip(tokens, texts, covered, draws, strict=True))
        ]

    def _drawn(self, logits: np.ndarray, old: int, standing: str, draw: np.random.Generator) -> str:
        logits = np.where(self._kinds == self._kinds[old], logits, -np.inf)
        best = np.argsort(-logits, kind="stable")[: self._top + 1]
        best = [i for i in best if np.isfinite(logits[i]) and self._words[i].lower() != standing.lower()][: self._top]
        if not best:
            return ""
        weights = np.exp(logits[best] - logits[best].max())
        return cased(self._words[draw.choice(best, p=weights / weights.sum())], like=standing)

    def _tokens(self, text: str) -> dict[Place, int]:
        """Place of a word that is one token → which token it is."""
        encoded = self._tokenizer(text, truncation=True, max_length=self._limit, return_offsets_mapping=True)
        units = set(map(tuple, spans.bounds(text).tolist()))
        found = {}
        for index, (start, end) in enumerate(encoded["offset_mapping"]):
            start += len(text[start:end]) - len(text[start:end].lstrip())
            if (start, end) in units and self._kinds[encoded["input_ids"][index]] >= 0:
                found[start, end] = index
        return found


class Translator:
    """A network that reads a text and writes another (Marian, T5, …)."""

    def __init__(self, name: str, key: str) -> None:
        self._model, self._tokenizer = open_network(name, "AutoModelForSeq2SeqLM", key)
        self._limit = token_room(self._model, self._tokenizer)

    def translate(self, texts: Sequence[str], beams: int = 1) -> list[list[str]]:
        """Each text's `beams` best translations; none of a text that is longer than the network reads."""
        sizes = [len(ids) for ids in self._tokenizer(list(texts), verbose=False)["input_ids"]] if texts else []
        found: list[list[str]] = [[] for _ in texts]
        # Texts of one length at a time: without padding, a translation does not depend on the texts beside it.
        for size in sorted({size for size in sizes if size <= self._limit}):
            same = [index for index, other in enumerate(sizes) if other == size]
            for start in range(0, len(same), BATCH):
                part = same[start : start + BATCH]
                for index, made in zip(part, self._translated([texts[i] for i in part], beams), strict=True):
                    found[index] = made
        return found

    def _translated(self, texts: list[str], beams: int) -> Iterator[list[str]]:
        import torch

        encoded = self._tokenizer(texts, return_tensors="pt")
        encoded.pop("token_type_ids", None)
        most = min(self._limit, 2 * encoded["input_ids"].shape[1] + 16)
        with torch.inference_mode():
            made = self._model.generate(
                **encoded, num_beams=beams, num_return_sequences=beams, do_sample=False, max_new_tokens=most
            )
        said = [" ".join(text.split()) for text in self._tokenizer.batch_decode(made, skip_special_tokens=True)]
        for start in range(0, len(said), beams):
            yield [text for text in dict.fromkeys(said[start : start + beams]) if text]


def open_network(name: str, kind: str, key: str) -> tuple[Any, Any]:
    """The network with the head that `kind` names, and its tokenizer; ModelError where the head's weights are missing."""
    if not name:
        raise RecipeError(f"{key} is needed: a folder, or a hub id. No package brings such a model.")
    try:
        folder = locate(name).folder
    except ModelError as error:
        raise ModelError(
            f"{key}: {error} None of these opens as {kind}: name a folder, or a hub id, that does."
        ) from None
    with explained(folder):
        import torch
        import transformers

        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model, loading = getattr(transformers, kind).from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
    if loading["missing_keys"]:
        raise ModelError(
            f"{key}: {name!r} has no weights for {sorted(loading['missing_keys'])[0]}: it is no model for this, or was "
            f"saved without its head. A checkpoint that opens as {kind} is needed."
        )
    return model.eval(), tokenizer


def token_room(model: Any, tokenizer: Any) -> int:
    """Tokens that the network reads at a time."""
    positions = getattr(model.config, "max_position_embeddings", None) or LONGEST
    return min(LONGEST, positions, tokenizer.model_max_length)


def _kind(piece: str, word: str) -> int:
    """Words of one kind can stand for one another: Chinese, at the beginning of a word (▁, Ġ), or anywhere."""
    return 2 if is_han(word) else int(piece[0] in "▁Ġ")
