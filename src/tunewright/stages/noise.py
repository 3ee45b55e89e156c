"""What small noise costs: the same rows with typos, other letter case, other character width, other spaces."""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tunewright.core.progress import Progress, Silent
from tunewright.core.types import Example
from tunewright.predict.infer import stepping
from tunewright.predict.predictor import Predictor
from tunewright.stages import verdict
from tunewright.stages.evaluate import Judged

Noise = Callable[[str, np.random.Generator], str]
WORD_SHARE = 0.15  # of the words of over three letters that get a typo, one at least
HAN_SHARE = 0.07  # of the Chinese characters that are left out or change places, one at least
SPACE_SHARE = 0.2  # of the places where a space is added
_WORD = re.compile(r"[^\W\d_]{4,}")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN_PAIR = re.compile(f"(?=[{_HAN}]{{2}})")
_GAP = re.compile(rf" |(?<=[{_HAN}])(?=[{_HAN}])")


def typos(text: str, rng: np.random.Generator) -> str:
    """Letters left out, doubled or swapped inside words; Chinese characters left out or swapped with the next."""
    latin = _some([m.start() for m in _WORD.finditer(text) if not re.search(f"[{_HAN}]", m.group())], WORD_SHARE, rng)
    lengths = {m.start(): len(m.group()) for m in _WORD.finditer(text)}
    places = [place + int(rng.integers(1, lengths[place] - 1)) for place in latin]
    places += _some([match.start() for match in _HAN_PAIR.finditer(text)], HAN_SHARE, rng)
    for place in sorted(places, reverse=True):
        text = _slip(text, place, rng)
    return text


def case(text: str, rng: np.random.Generator) -> str:
    """All letters as capitals."""
    return text.upper()


def width(text: str, rng: np.random.Generator) -> str:
    """Letters, digits and marks as wide as Chinese characters (ABC as ＡＢＣ), and those that are, narrow."""
    return "".join(map(_other_width, text))


def spaces(text: str, rng: np.random.Generator) -> str:
    """Some spaces doubled, some put between Chinese characters, and one at either end."""
    for place in sorted(_some([match.start() for match in _GAP.finditer(text)], SPACE_SHARE, rng), reverse=True):
        text = f"{text[:place]} {text[place:]}"
    return f" {text} "


NOISES: tuple[Noise, ...] = (typos, case, width, spaces)


def measure(predictor: Predictor, judged: Judged, progress: Progress | None = None) -> dict[str, dict[str, Any]]:
    """What each noise costs; every text gets the same noise each time.

    Returns noise → {"metric", "value", "low", "high": metric with noise minus without, "changed": share of rows whose
    text the noise changes, "flips": rows whose answer changes}.
    """
    found = {}
    with (progress or Silent()).task("Robustness", total=len(NOISES) * len(judged.items)) as step:
        for noise in NOISES:
            noisy = [_noisy(example, noise) for example in judged.examples]
            predictions = [said for _, said in stepping(predictor.answers(noisy), step, predictor.chunk)]
            found[noise.__name__] = {
                **_difference(predictor, judged, predictions),
                "changed": np.mean([a.inputs != b.inputs for a, b in zip(noisy, judged.examples, strict=True)]),
                "flips": sum(a.value != b.value for a, b in zip(predictions, judged.predictions, strict=True)),
            }
    return found


def _difference(predictor: Predictor, judged: Judged, predictions: list[Any]) -> dict[str, Any]:
    clean = ("clean", judged.predictions)
    made = verdict.between(predictor.bundle.recipe, judged.gold, predictions, clean, predictor.labels)
    return made.differences["clean"].to_dict()


def _noisy(example: Example, noise: Noise) -> Example:
    def changed(value: Any) -> Any:
        return noise(value, np.random.default_rng(zlib.crc32(value.encode()))) if isinstance(value, str) else value

    return dataclasses.replace(example, inputs={role: changed(value) for role, value in example.inputs.items()})


def _some(places: list[int], share: float, rng: np.random.Generator) -> list[int]:
    """A share of the places, one at least where there are any."""
    if not places:
        return []
    return rng.choice(places, size=max(1, round(share * len(places))), replace=False).tolist()


def _slip(text: str, place: int, rng: np.random.Generator) -> str:
    kind = rng.integers(3)
    if kind == 0:
        return text[:place] + text[place + 1 :]
    if kind == 1 and text[place].isascii():
        return text[: place + 1] + text[place:]
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def _other_width(character: str) -> str:
    code = ord(character)
    if 0x21 <= code <= 0x7E:
        return chr(code + 0xFEE0)
    return chr(code - 0xFEE0) if 0xFF01 <= code <= 0xFF5E else character
