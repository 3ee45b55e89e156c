"""Put several bundles that were tuned from one backbone into one bundle, which holds what they have in common once."""

from __future__ import annotations

import hashlib
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core import catalog, gate
from tunewright.core.bundle import (
    INDEX,
    MANIFEST,
    SHARED,
    VARIANTS,
    Bundle,
    open_bundle,
    seal,
    seal_variants,
    variants_of,
)
from tunewright.core.errors import BundleError, MachineError, ModelError, UsageError, listing, nearest
from tunewright.core.files import sha256, write_json, write_text, writing_folder
from tunewright.core.gate import Gate
from tunewright.core.progress import Progress, Silent
from tunewright.core.types import Note
from tunewright.models import beside, members
from tunewright.models.batches import Features
from tunewright.models.processor import Processor
from tunewright.models.shared import WEIGHTS, Parts, Tensors, difference, file_of
from tunewright.predict.predictor import AUTO, EXACT, find_runtime

TOLERANCE = 1e-5  # of the largest logit (of 1, where all are smaller): by how much outputs may be off
TRIALS = 64  # windows of random pieces on which both must answer alike
LONGEST = 60  # characters of a variant's name, which is a folder's too
MADE_AGAIN = ("onnx", "encoder")  # folders of a bundle that hold its weights in another form, and stay behind
SHARED_FILE = "tokenizer.json"
WRITTEN_ANEW = ("schema", "tunewright", "created", "task", "labels", "files", "digest")  # keys of a manifest
Contents = Mapping[Path, Mapping[str, str]]  # a saved model's folder → the digest of each of its tensors
CARD = """# Several models on one backbone · 同一骨干网络上的多个模型

| variant | task | method | labels | of its own |
| --- | --- | --- | --- | --- |
{rows}

The backbone lies once in `{shared}/`, {size} MB; of each variant `{variants}/NAME/` holds what is its own, its model card among it. Open one with
`tunewright predict FOLDER rows.csv --variant NAME`, or `tunewright.load(FOLDER, variant="NAME")`. Plain `transformers` cannot put
a variant together.

骨干网络只在 `{shared}/` 中存一份，{size} MB；各变体自己的部分（含其模型卡）在 `{variants}/NAME/`。用 `tunewright predict FOLDER rows.csv --variant NAME`
或 `tunewright.load(FOLDER, variant="NAME")` 打开其中一个。只用 `transformers` 无法还原变体。
"""


@dataclass(frozen=True)
class Combined:
    """What was written. variants: name → what bundle.json says of it; bytes: of all; apart: of the single bundles, less
    what stays behind."""

    bundle: Path
    variants: Mapping[str, Mapping[str, Any]]
    bytes: int
    apart: int

    def to_dict(self) -> dict[str, Any]:
        """As `combine --json` prints it."""
        return {"bundle": self.bundle, "variants": self.variants, "bytes": self.bytes, "apart": self.apart}


def combine(
    bundles: Sequence[Path | str],
    out: Path | str,
    *,
    names: Sequence[str] = (),
    default: str | None = None,
    progress: Progress | None = None,
) -> Combined:
    """Write the bundle `out` that holds these as variants. A bundle that holds variants already brings all of them.

    names: what the variants are called, in order; by default as their runs' folders, or as they are called already.
    default: which one is opened where none is named; None: there it is asked for.
    Raises UsageError for names that cannot be, BundleError for bundles of different backbones, or whose outputs are not
    the same (within TOLERANCE) from what is written.
    """
    progress, out = progress or Silent(), Path(out)
    variants = _named([one for given in bundles for one in _opened(given)], names)
    if default is not None and default not in variants:
        raise UsageError(f"There is no variant {default!r} to be the default.{nearest(default, variants)}")
    if out.exists():
        raise UsageError(f"{out} exists already. Choose another --out.")
    contents = {place: _contents(place) for bundle in variants.values() for place in _models(bundle)}
    base = _base(variants, contents, progress)
    _check_backbones(variants, contents, base)
    with writing_folder(out) as folder, progress.task("Combining", total=len(variants)) as step:
        pool = _Pool(folder / SHARED, contents, base)
        about = {}
        for name, bundle in variants.items():
            about[name] = _write(bundle, folder / VARIANTS / name, pool)
        pool.close()
        for name, bundle in variants.items():
            about[name] |= _tried(name, bundle, folder / VARIANTS / name)
            step(1)
        own = {name: {**said, "bytes": _size(folder / VARIANTS / name)} for name, said in about.items()}
        shared = _size(folder / SHARED)
        write_text(folder / "README.md", _card(own, shared))
        seal_variants(folder, own, default=default, backbone=_backbone(variants), shared_bytes=shared)
    return Combined(out, own, _size(out), sum(_size(bundle.folder, MADE_AGAIN) for bundle in variants.values()))


# ------------------------------------------------------------------------------------------------ bundles and names


def _opened(given: Path | str) -> Iterator[tuple[str, Bundle]]:
    """The bundle with its name, or the variants that it holds with theirs."""
    if inside := variants_of(given):
        yield from ((name, open_bundle(given, name)) for name in inside)
        return
    bundle = open_bundle(given)
    folder = bundle.folder.absolute()
    yield (folder.parent if folder.name == "bundle" else folder).name, bundle


def _named(found: Sequence[tuple[str, Bundle]], names: Sequence[str]) -> dict[str, Bundle]:
    if len(found) < 2:
        raise UsageError("One bundle alone cannot be combined. Name two or more, which were tuned from one backbone.")
    if names and len(names) != len(found):
        raise UsageError(
            f"There are {len(found)} variants ({listing(name for name, _ in found)}) and {len(names)} names "
            f"({listing(names)}). Give each one, in order, with --name; or none."
        )
    named: dict[str, Bundle] = {}
    for name, (_, bundle) in zip(names or [name for name, _ in found], found, strict=True):
        name = _checked_name(name)
        if name.casefold() in map(str.casefold, named):
            raise UsageError(f"Two variants are called {name!r}. Name them with --name, one for each bundle, in order.")
        named[name] = bundle
    return named


def _checked_name(name: str) -> str:
    """The name in Unicode's composed form (NFC). Raises UsageError where no folder can be called so everywhere."""
    name = unicodedata.normalize("NFC", name)
    if not re.fullmatch(r"\w[\w.\- ]*(?<![. ])", name) or len(name) > LONGEST:
        raise UsageError(
            f"A variant cannot be called {name!r:.80}. A name has letters of any language, digits, and `_`, `-`, `.` or "
            f"spaces between them, at most {LONGEST} of all. Name the variants with --name, one for each bundle, in order."
        )
    return name


def _backbone(variants: Mapping[str, Bundle]) -> str:
    """The backbone as most of the recipes name it."""
    return Counter(str(bundle.about.get("backbone")) for bundle in variants.values()).most_common(1)[0][0]


# ------------------------------------------------------------------------------------------------------ the backbone


class _Base:
    """Weights that the variants are held against. `find` knows them by content, and by name."""

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.tensors = tensors
        self.names = {name: _digest(value) for name, value in tensors.items()}
        self.digests = {digest: name for name, digest in self.names.items()}
        self.table = self.names[max(tensors, key=lambda name: tensors[name].size)]  # the largest: the word vectors
        endings = [(".".join(name.split(".")[at:]), name) for name in tensors for at in range(name.count(".") + 1)]
        often = Counter(ending for ending, _ in endings)
        self._by_ending = {ending: name for ending, name in endings if often[ending] == 1}

    def like(self, name: str, tensor: np.ndarray) -> str | None:
        """What is called the same from some dot on (a saved model puts its own words before a backbone's), and as large."""
        parts = name.split(".")
        endings = (".".join(parts[at:]) for at in range(len(parts)))
        found = next((self._by_ending[ending] for ending in endings if ending in self._by_ending), None)
        return found if found is not None and self.tensors[found].shape == tensor.shape else None


def _base(variants: Mapping[str, Bundle], contents: Contents, progress: Progress) -> _Base:
    """The backbone itself where it is here; else the variant that has the most in common with others."""
    often = Counter(digest for found in contents.values() for digest in set(found.values()))
    if (pretrained := _pretrained(_backbone(variants))) is not None and pretrained.table in often:
        return pretrained
    name = max(variants, key=lambda name: sum(often[d] - 1 for d in set(contents[_models(variants[name])[0]].values())))
    progress.say(f"The backbone {_backbone(variants)} is not here as it was: {name!r} takes its place.")
    return _Base(Tensors(variants[name].model_folder))


def _pretrained(name: str) -> _Base | None:
    from tunewright.models.backbone import load_backbone
    from tunewright.models.locate import locate

    try:
        network = load_backbone(locate(name).folder)
    except (ModelError, MachineError):
        return None
    return _Base({key: value.numpy() for key, value in network.state_dict().items()})


def _check_backbones(variants: Mapping[str, Bundle], contents: Contents, base: _Base) -> None:
    """Variants have the same word vectors, or say that they were tuned from the same backbone, of which they kept nothing."""
    common = _backbone(variants)
    for name, bundle in variants.items():
        tuned_from = bundle.about.get("backbone")
        if tuned_from != common and base.table not in contents[_models(bundle)[0]].values():
            other = next(key for key in variants if variants[key].about.get("backbone") == common)
            raise BundleError(
                f"{name!r} and {other!r} were tuned from different backbones: {tuned_from} and {common}. "
                "Combine bundles of one backbone; those of another make a bundle of their own."
            )


def _models(bundle: Bundle) -> list[Path]:
    """The folders of its saved models: one, unless several vote."""
    return [place / "model" for place in members.folders(bundle.folder)]


def _contents(model: Path) -> dict[str, str]:
    return {name: _digest(value) for name, value in Tensors(model).items()}


def _digest(tensor: np.ndarray) -> str:
    head = f"{tensor.dtype} {tensor.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(tensor).tobytes()).hexdigest()


# ---------------------------------------------------------------------------------------------------- what is written


class _Pool:
    """The folder of what variants have in common."""

    def __init__(self, folder: Path, contents: Contents, base: _Base) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._base, self._contents = base, contents
        self._tensors = Counter(digest for found in contents.values() for digest in set(found.values()))
        self._files = Counter(sha256(file_of(place, SHARED_FILE)) for place in contents)
        self._taken: dict[str, np.ndarray] = {}  # name here → tensor
        self._names: dict[str, str] = {}  # digest → name here

    def write(self, source: Path, target: Path) -> Counter[str]:
        """Write the weights and the tokenizer of a saved model to `target`, less what lies here. Gives how many of its
        tensors are "same", "changed" (a difference is kept) and "whole"."""
        index: dict[str, str] = {}
        own: dict[str, np.ndarray] = {}
        counts: Counter[str] = Counter()
        for name, tensor in Tensors(source).items():
            key, parts = self._found(name, tensor, self._contents[source][name])
            counts["whole" if key is None else "changed" if parts else "same"] += 1
            if key is None:
                own[name] = tensor
            else:
                index[name] = key
                own |= {f"{name}:{kind}": part for kind, part in parts.items()}
        _save(own, target / WEIGHTS)
        write_json(target / INDEX, {"tensors": index, "files": self._file(source, target)})
        return counts

    def _found(self, name: str, tensor: np.ndarray, digest: str) -> tuple[str | None, Parts]:
        """The name here of what a tensor is made of, and in what it differs; None where it is kept whole."""
        if digest in self._base.digests or self._tensors[digest] > 1:
            return self._put(digest, self._base.digests.get(digest, name), tensor), {}
        like = self._base.like(name, tensor)
        if like is None or (parts := difference(tensor, self._base.tensors[like])) is None:
            return None, {}
        return self._put(self._base.names[like], like, self._base.tensors[like]), parts

    def _put(self, digest: str, name: str, tensor: np.ndarray) -> str:
        if digest not in self._names:
            name = name if name not in self._taken else f"{name}-{digest[:16]}"
            self._names[digest], self._taken[name] = name, tensor
        return self._names[digest]

    def _file(self, source: Path, target: Path) -> dict[str, str]:
        file = file_of(source, SHARED_FILE)
        digest = sha256(file)
        if self._files[digest] < 2:
            shutil.copyfile(file, target / SHARED_FILE)
            return {}
        name = f"{digest[:16]}-{SHARED_FILE}"
        if not (self.folder / name).exists():
            shutil.copyfile(file, self.folder / name)
        return {SHARED_FILE: name}

    def close(self) -> None:
        """Write the tensors that were found to be common."""
        _save(self._taken, self.folder / WEIGHTS)


def _save(tensors: Mapping[str, np.ndarray], file: Path) -> None:
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, file, metadata={"format": "pt"})


def _write(bundle: Bundle, target: Path, pool: _Pool) -> dict[str, Any]:
    """Write what is a variant's own, sealed; gives what bundle.json says of it."""
    models = [model.relative_to(bundle.folder) for model in _models(bundle)]
    put_together = {model / name for model in models for name in (WEIGHTS, INDEX, SHARED_FILE)}
    for file in (path for path in bundle.folder.rglob("*") if path.is_file() and path.name != MANIFEST):
        name = file.relative_to(bundle.folder)
        if name in put_together or set(name.parts[:-1]) & set(MADE_AGAIN):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / name)
    counts = sum((pool.write(bundle.folder / model, target / model) for model in models), Counter())
    about = {key: value for key, value in bundle.about.items() if key not in WRITTEN_ANEW}
    about.setdefault("source", bundle.about["digest"])  # the bundle that was judged
    seal(target, task=bundle.task, labels=bundle.labels, policy=bundle.policy, **about)
    return {
        "task": catalog.name_of(bundle.task),
        "method": catalog.name_of(bundle.recipe.train.method),
        "labels": len(bundle.labels),
        "tensors": {kind: counts[kind] for kind in ("same", "changed", "whole")},
    }


def _size(folder: Path, without: Sequence[str] = ()) -> int:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if not set(path.relative_to(folder).parts[:-1]) & set(without))


def _card(variants: Mapping[str, Mapping[str, Any]], shared: int) -> str:
    rows = [
        f"| {name} | {said['task']} | {said['method']} | {said['labels']} | {megabytes(said['bytes'])} MB |"
        for name, said in variants.items()
    ]
    return CARD.format(rows="\n".join(rows), shared=SHARED, variants=VARIANTS, size=megabytes(shared))


def megabytes(size: int) -> str:
    """Bytes in millions: "90.9"."""
    return f"{size / 1e6:,.1f}"


# ------------------------------------------------------------------------------------------------------ does it answer


def _tried(name: str, single: Bundle, variant: Path) -> dict[str, Any]:
    """How the variant's outputs compare with the single bundle's: {"parity": the gate, "runtime": how its own did}.

    Raises BundleError where they are not the same in full precision.
    """
    windows = _windows(single)
    exact = catalog.create("runtimes", EXACT)
    found = gate_of(single, *(members.opened(exact, folder)(windows) for folder in (single.folder, variant)))
    if not found.passed:
        failed = "; ".join(f"{check.name} {check.value:g}" for check in found.failed)
        raise BundleError(f"Variant {name!r} does not answer as its bundle ({failed}): please report this.")
    return {"parity": found.to_dict(), "runtime": _own_runtime(single, variant, windows)}


def gate_of(bundle: Bundle, before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> Gate:
    """Whether outputs are the same: in their largest difference, and in every answer."""
    off, flips = _apart(bundle, before, after)
    return Gate(
        "variant",
        (
            gate.check("largest difference of outputs", off, "<=", TOLERANCE, _same(len(before), "outputs", "输出")),
            gate.check("flipped answers", flips, "==", 0, _same(len(before), "answers", "答案")),
        ),
    )


def _same(count: int, what: str, what_zh: str) -> Note:
    return Note(
        f"The same {what} as the single bundle's in full precision, on {count} windows of random pieces.",
        f"在 {count} 个由随机词元组成的窗口上，全精度下的{what_zh}与单独的模型包相同。",
    )


def _apart(bundle: Bundle, before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> tuple[float, int]:
    largest = max(1.0, *(float(np.abs(one).max()) for one in before))
    off = max(float(np.abs(one - other).max()) for one, other in zip(before, after, strict=True)) / largest
    answers = [[_answers(bundle, one) for one in side] for side in (before, after)]
    return off, sum(not np.array_equal(one, other) for one, other in zip(*answers, strict=True))


def _answers(bundle: Bundle, logits: np.ndarray) -> np.ndarray:
    """What the logits say: each label's yes or no, or the place of the largest; of numbers nothing."""
    if bundle.task.multi_label:
        return logits > 0
    return logits.argmax(axis=-1) if bundle.task.classes else np.zeros(0)


def _own_runtime(single: Bundle, variant: Path, windows: Sequence[Features]) -> dict[str, Any]:
    """The runtime that answers for the bundle: by how much outputs differ through it, and how many answers do."""
    runtime, _ = find_runtime(single.folder, AUTO)
    about: dict[str, Any] = {"name": catalog.name_of(runtime)}
    if missing := runtime.lacks(variant):
        return {**about, "lacks": missing}
    off, flips = _apart(single, *(members.opened(runtime, folder)(windows) for folder in (single.folder, variant)))
    return {**about, "difference": off, "flips": flips}


def _windows(bundle: Bundle) -> list[Features]:
    """Windows of random pieces, the same at every call."""
    processor = Processor.load(bundle.model_folder)
    random = np.random.default_rng(0)
    weight = beside.weight_of(bundle.model_folder)
    found = []
    for length in random.integers(2, min(64, processor.max_tokens), size=TRIALS):
        window = {"input_ids": random.integers(0, processor.tokenizer.get_vocab_size(), length)}
        window["attention_mask"] = np.ones(length, dtype=np.int64)
        if processor.type_ids:
            window["token_type_ids"] = np.zeros(length, dtype=np.int64)
        if weight is not None:
            window[beside.FEATURE] = random.normal(size=weight.shape[1]).astype(np.float32)
        found.append(window)
    return found
