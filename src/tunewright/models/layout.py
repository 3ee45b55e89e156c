"""Save a Model as a plain `transformers` folder and open it again, weight for weight.

Classifiers of `transformers` read their answer from the first token, through a tanh. A mean-pooling head is written
into that form by one more encoder layer whose attention is uniform (queries and keys are zero), so that every token
becomes the mean of all real tokens; a scale of 2^17 on that mean makes the layer's own residual vanish, its layer
normalisation (scale 1, shift 0) is the one our head applies, and its feed-forward part is zero. The tanh is passed in
its linear range by a factor of 2^-12. Both factors are powers of two, so opening the folder gives back the same bits.
The error in the logits is below 1e-4 of their size (tests/models/test_layout.py); a bundle's certificate measures it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from tunewright.core import catalog
from tunewright.core.contracts import Head, Method
from tunewright.core.errors import BundleError, ModelError
from tunewright.core.files import read_json, write_json
from tunewright.models import lighter, reshaped, surgery
from tunewright.models.backbone import empty_backbone, load_backbone, quiet
from tunewright.models.model import Model
from tunewright.models.saved import MARK, TANH_SCALE, final_map
from tunewright.models.shared import WEIGHTS, as_torch
from tunewright.models.table import HEAD, MODEL_TYPE

MEAN_SCALE = 2.0**17  # on the mean, against the residual of the token's own state


def save_model(model: Model, folder: Path, *, multi_label: bool, inserted: Method | None = None) -> None:
    """Write `model` to `folder`: config.json and model.safetensors.

    Where no plain class computes the same (static embeddings; families other than BERT's; what a method has inserted and
    cannot merge), the backbone is saved in its own form with the head beside it in head.safetensors, and only Tunewright
    opens the whole. inserted: that method; None where the weights are plain, or merged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lighter_forms = lighter.forms(model.backbone)
    whole = plain_form(model, multi_label) if inserted is None and not lighter_forms else None
    if whole is None:
        _save_own(model, folder, inserted)
        return
    with quiet():
        whole.save_pretrained(folder, safe_serialization=True)
    config = read_json(folder / "config.json")
    config[MARK] = {"head": catalog.describe(model.head_kind), "pooling_layers": _pooling_layers(model)}
    write_json(folder / "config.json", config)


def load_model(folder: Path, *, attention: str = "eager") -> Model:
    """Open a folder that `save_model` wrote. Raises BundleError when it was not written by it."""
    config = read_json(folder / "config.json")
    if MARK not in config:
        raise BundleError(f"{folder} was not written by Tunewright; open it with transformers instead.")
    head = catalog.create("heads", config[MARK]["head"])
    labels = [config["id2label"][str(index)] for index in range(len(config["id2label"]))]
    if not config[MARK].get("transformers", True):
        return _load_own(folder, head, labels, config)
    backbone = load_backbone(folder, dropout=0.0, attention=attention)
    if getattr(backbone, "pooler", None) is not None:
        backbone.pooler = None
    for _ in range(config[MARK]["pooling_layers"]):
        _drop_last_layer(backbone)
    model = Model(backbone, head.build(surgery.hidden_size(backbone), len(labels)), head, labels)
    weight, bias = map(torch.from_numpy, final_map(folder, len(labels)))
    scale = TANH_SCALE if config[MARK]["pooling_layers"] else 1.0
    model.start_head(weight * scale, bias)
    return model.eval()


def plain_form(model: Model, multi_label: bool) -> nn.Module | None:
    """The plain `transformers` network that computes what `model` does, or None where there is none.

    Believed only when it was tried: families can look like BERT and pool in another way.
    """
    if not _is_transformers(model.backbone) or _encoder_of(model.backbone) is None:
        return None
    try:
        whole = _to_transformers(model, multi_label)
    except (RuntimeError, ModelError):  # parts of other shapes than their names promise
        return None
    return whole if _agree(whole, model) else None


@torch.inference_mode()
def _agree(whole: nn.Module, model: Model) -> bool:
    """Whether both give the same logits on random tokens, padding among them."""
    random = torch.Generator().manual_seed(0)
    pieces = min(1000, surgery.word_embeddings(model.backbone).num_embeddings)
    ids = torch.randint(4, pieces, (2, 8), generator=random)
    mask = torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
    batch = {"input_ids": ids, "attention_mask": mask}
    training = model.training
    ours, theirs = model.eval()(batch), outputs_of(whole(**batch))
    model.train(training)
    real = mask.bool() if ours.ndim == 3 else torch.ones(2, dtype=torch.bool)
    return torch.allclose(theirs[real], ours[real], rtol=1e-2, atol=1e-2)


def outputs_of(said: Any) -> torch.Tensor:
    """The logits in what a plain `transformers` network gives: start and end side by side where they come apart."""
    if "start_logits" in said:
        return torch.stack([said.start_logits, said.end_logits], dim=-1)
    return said.logits


def _pooling_layers(model: Model) -> int:
    return int(model.head_kind.pools)


def _is_transformers(backbone: nn.Module) -> bool:
    return hasattr(backbone, "save_pretrained")


def _encoder_of(backbone: nn.Module) -> nn.ModuleList | None:
    """The layer list of a post-norm encoder whose layers have all the roles that uniform attention needs."""
    layers = surgery.layers(backbone)
    if not layers or not _roles(layers[-1]):
        return None
    return next(list_ for list_ in backbone.modules() if isinstance(list_, nn.ModuleList) and layers[-1] in list(list_))


def _roles(layer: nn.Module) -> dict[str, nn.Module] | None:
    """The parts of a BERT-like layer by their role, or None for another kind of layer."""
    parts = dict(layer.named_modules())
    names = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attention_output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm": "output.LayerNorm",
    }
    return {role: parts[name] for role, name in names.items()} if all(n in parts for n in names.values()) else None


def _to_transformers(model: Model, multi_label: bool) -> nn.Module:
    import transformers

    config = copy.deepcopy(model.backbone.config)
    config.num_labels = len(model.labels)
    config.id2label = dict(enumerate(model.labels))
    config.label2id = {label: index for index, label in enumerate(model.labels)}
    config.dtype = torch.float32
    if model.head_kind.pools:
        one = "regression" if len(model.labels) == 1 else "single_label_classification"
        config.problem_type = "multi_label_classification" if multi_label else one
        config.num_hidden_layers += 1
    whole = getattr(transformers, model.head_kind.transformers_class).from_config(config)
    _copy_backbone(model.backbone, whole.base_model)
    if model.head_kind.pools:
        _write_pooling(whole, model)
    else:
        _write_output(_output_map(whole, len(model.labels)), model.head.output, scale=1.0)
    return whole.float().eval()


def _copy_backbone(source: nn.Module, target: nn.Module) -> None:
    missing, unexpected = target.load_state_dict(source.state_dict(), strict=False)
    if unexpected:
        raise ModelError(f"The backbone has weights that its transformers class lacks: {unexpected[:3]}.")
    own = set(source.state_dict())
    lost = [name for name in missing if name in own]
    if lost:
        raise ModelError(f"These weights were not copied: {lost[:3]}.")


@torch.no_grad()
def _write_pooling(whole: nn.Module, model: Model) -> None:
    layer = surgery.layers(whole.base_model)[-1]
    parts = _roles(layer)
    width = parts["value"].weight.shape[0]
    for parameter in layer.parameters():
        parameter.zero_()
    parts["value"].weight.copy_(torch.eye(width) * MEAN_SCALE)
    parts["attention_output"].weight.copy_(torch.eye(width))
    parts["attention_norm"].weight.fill_(1)
    parts["norm"].weight.fill_(1)
    dense = _dense_before_tanh(whole, width)
    dense.weight.copy_(torch.eye(width) * TANH_SCALE)
    dense.bias.zero_()
    _write_output(_output_map(whole, len(model.labels)), model.head.output, scale=1 / TANH_SCALE)


def _dense_before_tanh(whole: nn.Module, width: int) -> nn.Linear:
    """The square map outside the encoder's layers: BERT's pooler, or the dense of RoBERTa's head."""
    inside = {id(module) for layer in surgery.layers(whole.base_model) for module in layer.modules()}
    found = [
        module
        for module in whole.modules()
        if isinstance(module, nn.Linear) and id(module) not in inside and module.weight.shape == (width, width)
    ]
    if len(found) != 1:
        raise ModelError(f"Expected one pooler in {type(whole).__name__}, found {len(found)}.")
    return found[0]


def _output_map(whole: nn.Module, outputs: int) -> nn.Linear:
    return [m for m in whole.modules() if isinstance(m, nn.Linear) and m.weight.shape[0] == outputs][-1]


@torch.no_grad()
def _write_output(target: nn.Linear, source: nn.Linear, scale: float) -> None:
    target.weight.copy_(source.weight * scale)
    target.bias.copy_(source.bias)


def _drop_last_layer(backbone: nn.Module) -> None:
    layers = _encoder_of(backbone)
    del layers[-1]
    backbone.config.num_hidden_layers -= 1


def _save_own(model: Model, folder: Path, inserted: Method | None) -> None:
    config = dict(model.backbone.config) if isinstance(model.backbone.config, dict) else model.backbone.config.to_dict()
    mark: dict[str, Any] = {"head": catalog.describe(model.head_kind), "pooling_layers": 0, "transformers": False}
    if inserted is not None:
        mark["method"] = catalog.describe(inserted)
    elif other := reshaped.sizes(model.backbone):
        mark["sizes"] = other
    if forms := lighter.forms(model.backbone):
        mark["stored"] = forms
    write_json(folder / "config.json", {**config, "id2label": dict(enumerate(model.labels)), MARK: mark})
    if forms:
        whole = {name: value.contiguous() for name, value in model.backbone.state_dict().items()}
        safetensors.torch.save_file(lighter.packed(model.backbone, whole), folder / WEIGHTS, metadata={"format": "pt"})
    else:
        safetensors.torch.save_model(model.backbone, str(folder / WEIGHTS))  # shared weights once
    head = {n: v.contiguous() for n, v in model.head.state_dict().items() if not n.startswith("beside.")}
    safetensors.torch.save_file(head, folder / HEAD)


def _load_own(folder: Path, head: Head, labels: Sequence[str], config: Mapping[str, Any]) -> Model:
    """A model in our own form. config.json says how the method is described that has inserted what cannot be merged, which
    does so again before all weights; the sizes of linear maps that are not as the configuration says (models/reshaped.py);
    and the weights that are stored in a smaller form (models/stored.py)."""
    mark = config[MARK]
    inserted, sizes, forms = mark.get("method"), mark.get("sizes", {}), mark.get("stored", {})
    whole = config.get("model_type") == MODEL_TYPE or not (inserted or sizes or forms)
    backbone = load_backbone(folder) if whole else empty_backbone(folder)
    reshaped.reshape(backbone, sizes)
    model = Model(backbone, head.build(surgery.hidden_size(backbone), len(labels)), head, labels)
    if inserted is not None:
        with torch.random.fork_rng(devices=[]):
            model = catalog.create("methods", inserted).apply(model)  # type: ignore[attr-defined]
    if not whole:
        _fill(model.backbone, as_torch(folder))
    for name, form in forms.items():
        lighter.store(backbone, name, form)
    safetensors.torch.load_model(model.head, folder / HEAD)
    return model.eval()


def _fill(network: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Put saved weights into a network; those that it shares among its parts were saved once."""
    own = network.state_dict()
    saved = {own[name].data_ptr(): weights[name] for name in weights if name in own}
    again = {name: saved[value.data_ptr()] for name, value in own.items() if value.data_ptr() in saved}
    network.load_state_dict({**again, **weights})
