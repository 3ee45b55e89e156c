"""A saved model read with numpy alone: the weights of an encoder of BERT's kind, and the map that ends it. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog
from tunewright.core.contracts import Head
from tunewright.core.files import read_json
from tunewright.kernels.encoder import Layer, Linear, Norm, Weights
from tunewright.models.mapped import TYPES
from tunewright.models.shared import Tensors

MARK = "tunewright"  # key in config.json under which models/layout.py notes how the folder was made
TANH_SCALE = 2.0**-12  # of the pooling layer that layout.py writes: keeps its tanh in the linear range
# A layer of BERT's kind holds these six maps and two norms, and nothing else.
LAYER = "encoder.layer.{}."
MAPS = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
MAPS += ("intermediate.dense", "output.dense")
NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
FINAL = ("classifier.", "qa_outputs.")  # what `transformers` calls the maps that end its models
# Families whose positions start behind the padding id.
COUNT_FROM_PADDING = ("roberta", "xlm-roberta", "camembert", "data2vec-text")


@dataclass(frozen=True)
class Saved:
    """The encoder's weights, the head and its final map: weight (labels, hidden), bias (labels,)."""

    encoder: Weights
    head: Head
    weight: np.ndarray
    bias: np.ndarray


def lacks(folder: Path) -> str:
    """Why the model in `folder` is no encoder of BERT's kind in the plain saved form; "" when it is."""
    config = read_json(folder / "config.json")
    mark = config.get(MARK)
    if mark is None or not mark.get("transformers", True):
        return "the model is not saved in the form of transformers"
    if config.get("hidden_act") != "gelu":
        return f"its activation is {config.get('hidden_act')}, not gelu"
    if config.get("position_embedding_type", "absolute") != "absolute":
        return "its positions are relative"
    stored = Tensors(folder)
    if unknown := {stored.place(name).type for name in stored if name.endswith((".weight", ".bias"))} - set(TYPES):
        return f"its weights are saved as {', '.join(sorted(unknown))}"
    names = set(stored)
    prefix = _prefix(names)
    layers = config["num_hidden_layers"]
    wanted = {f"{prefix}{LAYER.format(i)}{part}.{kind}" for i in range(layers) for part in (*MAPS, *NORMS) for kind in ("weight", "bias")}  # fmt: skip
    found = {name for name in names if name.startswith(f"{prefix}encoder.")}
    if prefix is None or found != wanted:
        return "its layers are not built as BERT's"
    if any(size % 4 for size in (config["hidden_size"], config["intermediate_size"])):
        return "its width is no multiple of four"
    embedded = {f"{prefix}embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")}
    return "" if embedded <= names else "its embeddings are not built as BERT's"


def read(folder: Path) -> Saved:
    """Read what `lacks` found nothing missing in. Tables stay on the disk, layers come one by one: little is in memory."""
    config = read_json(folder / "config.json")
    found = Tensors(folder)
    prefix = _prefix(set(found))

    def tensor(name: str) -> np.ndarray:
        return found[f"{prefix}{name}"]

    pooling = config[MARK]["pooling_layers"]
    encoder = Weights(
        words=tensor("embeddings.word_embeddings.weight"),
        positions=tensor("embeddings.position_embeddings.weight"),
        kinds=tensor("embeddings.token_type_embeddings.weight"),
        norm=_norm(tensor, "embeddings.LayerNorm"),
        layers=(_layer(tensor, i) for i in range(config["num_hidden_layers"] - pooling)),
        heads=config["num_attention_heads"],
        epsilon=config["layer_norm_eps"],
        first_position=_first_position(config),
    )
    weight, bias = final_map(folder, len(config["id2label"]))
    head: Head = catalog.create("heads", config[MARK]["head"])  # type: ignore[assignment]
    return Saved(encoder, head, weight * (TANH_SCALE if pooling else 1.0), bias)


def _first_position(config: Mapping[str, Any]) -> int:
    """Families that count positions from behind the padding id have two places more than tokens."""
    return config["pad_token_id"] + 1 if config["model_type"] in COUNT_FROM_PADDING else 0


def _layer(tensor: Callable[[str], np.ndarray], index: int) -> Layer:
    def part(name: str) -> str:
        return LAYER.format(index) + name

    def linear(*names: str) -> Linear:
        both = ([tensor(f"{part(name)}.{kind}") for name in names] for kind in ("weight", "bias"))
        return Linear(*(np.concatenate(tensors) for tensors in both))

    return Layer(
        fused=linear(*MAPS[:3]),
        attention_output=linear(MAPS[3]),
        attention_norm=_norm(tensor, part(NORMS[0])),
        up=linear(MAPS[4]),
        down=linear(MAPS[5]),
        norm=_norm(tensor, part(NORMS[1])),
    )


def _norm(tensor: Callable[[str], np.ndarray], name: str) -> Norm:
    return Norm(tensor(f"{name}.weight"), tensor(f"{name}.bias"))


def final_map(folder: Path, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """The last map of a saved classifier: weight (outputs, hidden), bias (outputs,)."""
    found = Tensors(folder)
    names = [name for name in found if name.startswith(FINAL) and name.endswith("weight")]
    final = [name for name in sorted(names) if found.place(name).shape[0] == outputs][-1]
    weight, bias = (np.array(found[name]) for name in (final, final.removesuffix("weight") + "bias"))
    return weight, bias


def _prefix(names: set[str]) -> str | None:
    end = "embeddings.word_embeddings.weight"
    return next((name.removesuffix(end) for name in sorted(names) if name.endswith(end)), None)
