"""Open a pretrained network from a folder: no network, no code from the folder, no noise, always fp32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunewright.core.errors import ModelError, listing
from tunewright.core.files import read_json
from tunewright.models.shared import as_torch, is_variant

if TYPE_CHECKING:
    from torch import nn


def load_backbone(
    folder: Path | str,
    *,
    dropout: float = 0.0,
    attention: Literal["eager", "sdpa"] = "eager",
    pickled_weights: bool = False,
    remote_code: bool = False,
) -> nn.Module:
    """The network in `folder`, in training mode off, with `forward(input_ids, attention_mask, …).last_hidden_state`.

    dropout: every dropout rate of its configuration; attention: eager is much faster for bf16 training on a CPU.
    The same folder gives the same weights: what the checkpoint lacks and no head here uses (a pooler) starts from a
    fixed seed. Raises ModelError when the folder is no model, is cut off, or lacks weights.
    """
    folder = Path(folder)
    try:
        config = read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} is no model's folder: its config.json cannot be read ({error}).") from error
    with explained(folder):
        from tunewright.models.static import load_static
        from tunewright.models.table import MODEL_TYPE

        if config.get("model_type") == MODEL_TYPE:
            return load_static(folder, config).eval()
        return _load_transformers(folder, dropout, attention, pickled_weights, remote_code)


def empty_backbone(folder: Path | str) -> nn.Module:
    """The network that config.json in `folder` describes, for weights that are put in next. Raises ModelError as above."""
    import torch
    from transformers import AutoConfig, AutoModel

    with explained(Path(folder)), quiet(), torch.random.fork_rng(devices=[]):
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        _set_dropout(config, 0.0)
        backbone = AutoModel.from_config(config, dtype=torch.float32, attn_implementation="eager")
    if getattr(backbone, "pooler", None) is not None:
        backbone.pooler = None  # as in every model here
    return backbone.eval()


def _load_transformers(
    folder: Path, dropout: float, attention: str, pickled_weights: bool, remote_code: bool
) -> nn.Module:
    import torch
    from transformers import AutoConfig, AutoModel

    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=remote_code, local_files_only=True)
        _set_dropout(config, dropout)
        network, given = AutoModel, {}
        if is_variant(folder):  # what is put together lies in no folder; only the network's own class takes it so
            with torch.device("meta"):
                network = type(AutoModel.from_config(config))
            given = {"state_dict": as_torch(folder)}
        backbone, loading = network.from_pretrained(
            None if given else folder,
            **given,
            config=config,
            dtype=torch.float32,
            attn_implementation=attention,
            use_safetensors=None if pickled_weights else True,
            trust_remote_code=remote_code,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told below, by name
        )
    if loading["mismatched_keys"]:
        name, *shapes = sorted(loading["mismatched_keys"])[0]
        raise ModelError(
            f"The weights in {folder} do not fit its config.json: {name} is {_shape(shapes[0])}, "
            f"and {_shape(shapes[1])} was expected. Save or download the model again."
        )
    # Heads here pool by themselves, so a checkpoint without BERT's pooler is whole.
    missing = sorted(name for name in loading["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise ModelError(
            f"The weights in {folder} lack {len(missing)} of the model's tensors ({listing(missing, 3)}): "
            "they would be random. Take a complete checkpoint."
        )
    return backbone.eval()


def _shape(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))


def _set_dropout(config: Any, rate: float) -> None:
    """Set every dropout rate of a configuration, whatever the family calls it (hidden_dropout_prob, resid_pdrop, …)."""
    for name, value in config.to_dict().items():
        if "drop" in name and isinstance(value, int | float) and not isinstance(value, bool):
            setattr(config, name, rate)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep `transformers` from writing on our standard error while it loads or saves."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn whatever the libraries raise at a broken folder into one message that names it."""
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(f"The model in {folder} cannot be opened: {said}") from error
