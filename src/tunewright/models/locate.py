"""Find a backbone by packaged name, folder or hub id, and refuse what is broken or would run code unasked."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from tunewright.core import catalog
from tunewright.core.contracts import BackboneFacts
from tunewright.core.errors import ModelError, listing, nearest
from tunewright.core.types import Note
from tunewright.models.packaged import INSTALL, installed

# What `auto` takes: the first that knows the data's language. The last one must know them all.
AUTO = ("minilm-l6-en", "e5-small-multilingual")
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
HUB_SECONDS = 5.0  # to wait for the hub's first answer


@dataclass(frozen=True)
class Located:
    """A backbone that can be opened: its name as given, its folder, what is known of it, and how it was found."""

    name: str
    folder: Path
    facts: BackboneFacts
    kind: Literal["packaged", "folder", "hub"]


def choose(language: str) -> tuple[str, Note]:
    """The packaged backbone for data in `language` (ISO 639-1 code; "" or "und" for unknown), and why, as one sentence."""
    for name in AUTO:
        facts = catalog.find("backbones", name).facts
        if language in facts.languages or "*" in facts.languages:
            break
    known = language not in ("", "und")
    about = f"the texts are in {language!r}" if known else "the texts' language is not known"
    about_zh = f"文本语言为 {language!r}" if known else "文本语言未知"
    broad = "*" in facts.languages
    breadth = "was trained on about a hundred languages" if broad else "was trained on that language"
    breadth_zh = "它的训练数据涵盖约一百种语言" if broad else "它正是用这种语言训练的"
    missing, missing_zh = "", ""
    if not installed(facts.source):
        missing, missing_zh = f". Its package is not installed yet: {INSTALL}", f"。尚未安装它的软件包：{INSTALL}"
    return name, Note(f"{about}, and it {breadth}{missing}", f"{about_zh}，{breadth_zh}{missing_zh}")


def locate(name: str, *, pickled_weights: bool = False, remote_code: bool = False) -> Located:
    """Find the backbone `name`: a packaged name, else a folder, else an id on the model hub.

    pickled_weights, remote_code: allow weights that are no safetensors, or code that the model brings: both can run
    anything on this machine. Raises ModelError when nothing is found or it may not be trusted, and MachineError when
    the package of a packaged backbone is missing.
    """
    packaged = catalog.names("backbones")
    if name.replace("_", "-") in packaged:
        name = name.replace("_", "-")
        backbone = catalog.create("backbones", name)
        return Located(name, check_folder(backbone.folder()), backbone.facts, "packaged")
    allowed = {"pickled_weights": pickled_weights, "remote_code": remote_code}
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Located(name, check_folder(folder, **allowed), _card_facts(folder, str(folder)), "folder")
    near = nearest(name, packaged)
    if folder.exists() or not HUB_ID.fullmatch(name) or ("/" not in name and near):
        what = "is a file, not a model's folder" if folder.exists() else "is no packaged backbone and no folder"
        raise ModelError(f"{name!r} {what}.{near} Packaged: {listing(packaged)}.")
    return _from_hub(name, allowed)


def check_folder(folder: Path, *, pickled_weights: bool = False, remote_code: bool = False) -> Path:
    """`folder`, once it holds a whole model that may be trusted; else ModelError with what to do."""
    config = _config(folder)
    if config.get("auto_map") and not remote_code:
        raise ModelError(
            f"The model in {folder} brings its own code (auto_map in config.json), which would run on this machine. "
            "If you trust it, set model.remote_code: true."
        )
    safe = [folder / "model.safetensors"] if (folder / "model.safetensors").is_file() else _shards(folder)
    for file in safe:
        _check_whole(file)
    if not safe and not any((folder / name).is_file() for name in PICKLES):
        raise ModelError(f"{folder} has a config.json but no weights: model.safetensors is missing.")
    if not safe and not pickled_weights:
        raise ModelError(
            f"The weights in {folder} are pickled (pytorch_model.bin), and unpickling can run any code. Convert them "
            "to safetensors, or, if you trust them, set model.pickled_weights: true."
        )
    return folder


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        have = listing(sorted(path.name for path in folder.iterdir()), 6) or "nothing"
        raise ModelError(f"{folder} is no model's folder: it has no config.json. It holds: {have}.")
    try:
        config = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}. Save or download the model again.") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelError(f"{file} is no model's configuration: it states no model_type.")
    return config


def _shards(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return []
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{index} cannot be read: {error}. Save or download the model again.") from error
    lost = [name for name in names if not (folder / name).is_file()]
    if lost:
        raise ModelError(f"{folder} lacks {len(lost)} of its {len(names)} weight files: {listing(lost, 3)}.")
    return [folder / name for name in names]


def _check_whole(file: Path) -> None:
    """Compare a safetensors file's size with what its own header says; reads the header only."""
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > size:
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{file} is no safetensors file, or is cut off. Save or download the model again.") from error
    if size != expected:
        raise ModelError(f"{file} is cut off: it has {size} bytes of {expected}. Save or download the model again.")


def _card_facts(folder: Path, source: str) -> BackboneFacts:
    """What the model card's header (README.md) states of languages and licence."""
    card: Any = {}
    if (folder / "README.md").is_file():
        text = (folder / "README.md").read_text("utf-8", errors="replace")
        if text.startswith("---"):
            try:
                card = yaml.safe_load(text.split("---", 2)[1])
            except yaml.YAMLError:
                card = {}
    card = card if isinstance(card, dict) else {}
    spoken = card.get("language") or ()
    languages = (spoken,) if isinstance(spoken, str) else tuple(str(code) for code in spoken)
    languages = ("*",) if "multilingual" in languages else languages
    return BackboneFacts(languages=languages, licence=str(card.get("license") or "unknown"), source=source)


def _from_hub(name: str, allowed: Mapping[str, bool]) -> Located:
    """Download what is needed of a hub model (or take it from the hub's own cache), and check it."""
    from huggingface_hub import constants, snapshot_download

    reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else ""
    if not reason:
        try:
            folder, revision = _download(name, allowed)
            return Located(name, check_folder(folder, **allowed), _card_facts(folder, f"{name}@{revision}"), "hub")
        except ModelError:
            raise
        except Exception as error:  # the hub's client raises its own, its transport's and the system's errors
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except Exception as error:
        here = f", and there is no folder {Path(os.curdir, name)}" if "/" in name else ""
        raise ModelError(
            f"{name!r} is no packaged backbone{here}; as an id on the model hub it could not be had: {reason}. "
            f"Packaged, without a hub: {listing(catalog.names('backbones'))}."
        ) from error
    return Located(name, check_folder(folder, **allowed), _card_facts(folder, f"{name}@{folder.name[:8]}"), "hub")


def _download(name: str, allowed: Mapping[str, bool]) -> tuple[Path, str]:
    from huggingface_hub import HfApi, snapshot_download

    info = HfApi().model_info(name, timeout=HUB_SECONDS)
    wanted = _wanted([file.rfilename for file in info.siblings or []], name, **allowed)
    folder = snapshot_download(name, revision=info.sha, allow_patterns=wanted, etag_timeout=HUB_SECONDS)
    return Path(folder), str(info.sha)[:8]


def _wanted(names: list[str], model: str, *, pickled_weights: bool, remote_code: bool) -> list[str]:
    """The files of a hub model to fetch: configuration, tokenizer, card, and weights in one trusted form."""
    top = [name for name in names if "/" not in name]
    small = [name for name in top if name.endswith((".json", ".txt", ".model", ".md")) or name == "LICENSE"]
    weights = [name for name in top if name.startswith("model") and name.endswith(".safetensors")]
    if not weights and not pickled_weights:
        raise ModelError(
            f"The hub model {model} has no safetensors weights, and unpickling others can run any code. Choose "
            "another, or, if you trust it, set model.pickled_weights: true."
        )
    weights = weights or [name for name in top if name.startswith("pytorch_model") and name.endswith(".bin")]
    code = [name for name in names if name.endswith(".py")] if remote_code else []
    return [*small, *weights, *code]
