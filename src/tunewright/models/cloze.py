"""A masked language model that is asked a cloze question: which of some words stands at a template's mask."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tunewright.core.errors import ModelError, RecipeError, listing, plural
from tunewright.core.numeric import softmax
from tunewright.core.progress import Step
from tunewright.data.words import is_han
from tunewright.models.batches import Features, in_batches
from tunewright.models.language_models import open_network, token_room

TEXT, MASK = "{}", "{mask}"
CHUNK = 256  # texts between two steps of the progress bar
SPARE = 4  # tokens of a text that a window has room for at least, beside the template
NEAR = 4  # words that a message names in place of one that is no token


class Cloze:
    """Texts in a template, and how well each of some words suits its mask (Schick and Schütze 2021, section 3).

    name: folder or hub id; template: with {} for the text and {mask} for the mask; words: one token each, where the mask
    stands; key: the recipe's, under which these three are `model`, `template` and `words`. Raises ModelError and
    RecipeError for what cannot be opened or asked.
    """

    def __init__(self, name: str, template: str, words: Sequence[str], key: str, device: str = "cpu") -> None:
        _check_template(template, f"{key}.template")
        self._model, self._tokenizer = open_network(name, "AutoModelForMaskedLM", f"{key}.model")
        if self._tokenizer.mask_token_id is None:
            raise ModelError(f"{key}.model: the tokenizer of {name!r} has no mask token, so it cannot be asked.")
        self._name, self._device = name, device
        self._limit = token_room(self._model, self._tokenizer)
        self._before, self._after = template.replace(MASK, self._tokenizer.mask_token).split(TEXT)
        self._around = template.replace(TEXT, "").split(MASK)
        taken = len(self._tokenizer(self._before + self._after)["input_ids"])
        if taken + SPARE > self._limit:
            raise RecipeError(
                f"{key}.template has {plural(taken, 'token')} without the text, and {name!r} reads {self._limit}. Shorten it."
            )
        self._ids = [self._id_of(word, f"{key}.words") for word in words]
        _check_apart(words, self._ids, f"{key}.words")
        self._model.to(device)

    def ask(self, texts: Sequence[str], step: Step) -> np.ndarray:
        """(texts, words) each word's probability among them all; of a long text its beginning is read."""
        found: list[np.ndarray] = []
        with self._model.get_output_embeddings().register_forward_pre_hook(self._only_masks):
            for start in range(0, len(texts), CHUNK):
                part = texts[start : start + CHUNK]
                found += in_batches(self._logits, self._encoded(part), self._tokenizer.pad_token_id or 0)
                step(len(part))
        return softmax(np.stack(found).astype(np.float64))

    def _logits(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        import torch

        inputs = {name: torch.from_numpy(value).to(self._device) for name, value in batch.items()}
        self._places = (inputs["input_ids"] == self._tokenizer.mask_token_id).int().argmax(dim=1)
        with torch.inference_mode():
            return self._model(**inputs).logits[:, 0, self._ids].float().cpu().numpy()

    def _only_masks(self, output: Any, hidden: tuple[Any, ...]) -> tuple[Any]:
        """Keep of (texts, tokens, hidden) the masks alone: logits of a whole vocabulary at every token take gigabytes."""
        import torch

        rows = torch.arange(len(self._places), device=self._places.device)
        return (hidden[0][rows, self._places][:, None],)

    def _encoded(self, texts: Sequence[str]) -> list[Features]:
        """The texts in the template, as windows with one mask each."""
        # Lone surrogates (half an emoji, from broken JSON) are no text in UTF-8; "?" keeps places right.
        whole = [self._before + text.encode("utf-8", "replace").decode() + self._after for text in texts]
        encoded = self._tokenizer(whole, return_offsets_mapping=True, verbose=False)
        names = [name for name in self._tokenizer.model_input_names if name in encoded]
        found = []
        for row, text in enumerate(texts):
            kept = self._kept(np.array(encoded["input_ids"][row]), np.array(encoded["offset_mapping"][row]), len(text))
            found.append({name: np.array(encoded[name][row])[kept] for name in names})
        return found

    def _kept(self, ids: np.ndarray, offsets: np.ndarray, length: int) -> np.ndarray:
        """(tokens,) those that are read: the template's, and of the text's as many as there is room for, but no mask."""
        start = len(self._before)
        inside = (offsets[:, 0] >= start) & (offsets[:, 1] <= start + length) & (offsets[:, 1] > offsets[:, 0])
        kept = ~(inside & (ids == self._tokenizer.mask_token_id))
        if (over := int(kept.sum()) - self._limit) > 0:
            kept[np.flatnonzero(inside & kept)[-over:]] = False
        return kept

    # ------------------------------------------------------------------------------------------------------- words

    def _id_of(self, word: str, key: str) -> int:
        """The token that a word is; RecipeError where it is none."""
        if (found := self._token(word)) is not None:
            return found
        pieces = [self._tokenizer.convert_ids_to_tokens(piece) for piece, _ in self._pieces(word)]
        shown = f"{len(pieces)} tokens ({', '.join(map(repr, pieces))})" if len(pieces) > 1 else "no token"
        near = self._near(word)
        raise RecipeError(
            f"{key}: {word!r} is {shown} of {self._name!r} where {MASK} stands, and one is needed. Give its label another "
            f"word.{f' Near ones that are a token: {listing(near)}.' if near else ''}"
        )

    def _token(self, word: str) -> int | None:
        pieces = self._pieces(word)
        if len(pieces) != 1:
            return None
        [(found, alone)] = pieces
        if not alone:  # beside a mask nothing joins with it
            found = self._tokenizer.convert_tokens_to_ids(word)
        return None if found == self._tokenizer.unk_token_id else found

    def _pieces(self, word: str) -> list[tuple[int, bool]]:
        """The tokens that a word is made of in the mask's place, and whether each is of this word alone."""
        start, whole = len(self._around[0]), word.join(self._around)
        encoded = self._tokenizer(whole, return_offsets_mapping=True, add_special_tokens=False)
        found = []
        for piece, (begin, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            begin += len(whole[begin:end]) - len(whole[begin:end].lstrip())
            if begin < start + len(word) and end > start:
                found.append((piece, begin >= start and end <= start + len(word)))
        return found

    def _near(self, word: str) -> list[str]:
        """Words like it that are a token in the mask's place."""
        pieces = self._tokenizer.convert_ids_to_tokens(range(len(self._tokenizer)))
        known = {self._tokenizer.convert_tokens_to_string([piece]).strip() for piece in pieces}
        begins = set(word.lower()) if is_han(word) else {word[:1].lower()}
        alike = sorted(one for one in known if one.isalpha() and one[0].lower() in begins)
        close = difflib.get_close_matches(word, alike, n=4 * NEAR, cutoff=0.5)
        return [one for one in close if self._token(one) is not None][:NEAR]


def _check_template(template: str, key: str) -> None:
    if (template.count(TEXT), template.count(MASK)) != (1, 1):
        raise RecipeError(
            f"{key} is {template!r}, and needs {TEXT} once, where the text stands, and {MASK} once, where a word is looked "
            f"for, as '{TEXT} It was {MASK}.' or '{TEXT}总之很{MASK}。'."
        )


def _check_apart(words: Sequence[str], ids: Sequence[int], key: str) -> None:
    """Raise RecipeError for two words that are one token."""
    first: dict[int, str] = {}
    for word, own in zip(words, ids, strict=True):
        if own in first:
            raise RecipeError(
                f"{key}: {first[own]!r} and {word!r} are the same token. Each word can stand for one label."
            )
        first[own] = word
