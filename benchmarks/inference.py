"""How fast a trained classifier answers: Tunewright, the pipeline of `transformers` and ONNX Runtime in turn, same weights.

    python benchmarks/inference.py --task trec6        one task; several take several --task; none takes all
    python benchmarks/inference.py --quick             one task, few rows and epochs: some minutes

A MiniLM classifier is trained once for each task and kept under build/benchmarks; that of CLINC150 is compressed too. Writes
benchmarks/results/inference.json, and compressed.json for that one, after every measurement and goes on from there when it is
called again. What each variant is stands in benchmarks/inference_once.py;
benchmarks/report.py makes tables of the results.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import harness
from inference_once import MAX_TOKENS, VARIANTS
from report import answering

from tunewright.core.files import read_json, write_json, writing_folder

ONCE = harness.ROOT / "benchmarks" / "inference_once.py"
WORK = harness.ROOT / "build" / "benchmarks" / "inference"
TASKS = {  # data set → the columns that make its text
    "ag_news": ("title", "text"),
    "trec6": ("text",),
    "clinc150": ("text",),
}
# Variant → how a task's bundle is made smaller for it; of TASKS those that are compressed.
COMPRESSED = {
    "ours_compressed": ("prune_layers+distill,int8", "--set", "prune_layers.share=0.5", "--max-loss", "0.01"),
    "ours_static": ("distill_static", "--max-loss", "0.06"),
}
COMPRESSED_TASKS = ("clinc150",)
TEXTS = 1000  # of the test split, answered in one call
ALONE = 200  # of them, answered one at a time
WARM_UP = 64
EPOCHS = 2
QUICK_TASKS, QUICK_TEXTS, QUICK_ROWS = ("trec6",), 200, 1000
QUICK_RESULTS = harness.ROOT / "build" / "bench-quick"


def prepared(task: str, data: Path, texts: int, rows: int | None) -> Path:
    """The task's folder, made if it is not there: run/ with the bundle, plain/ and onnx/ for the peers, rows.json."""
    folder = WORK / f"{task}-{texts}-{rows or 'all'}"
    if folder.exists():
        return folder
    print(f"{task}: training the model that answers", file=sys.stderr, flush=True)
    with writing_folder(folder) as made:
        for split in ("train", "test"):
            found = _read(data / task / f"{split}.csv", TASKS[task])
            random.Random(0).shuffle(found)
            _write(made / f"{split}.csv", found[: texts if split == "test" else rows])
        _train(made)
        _for_peers(made)
        _write_rows(made)
    return folder


def compressed(folder: Path, *, quick: bool) -> None:
    """Make what is missing of a task's compressed bundles: each in a folder that has its variant's name.

    quick: whatever they lose, as a few rows cannot tell how little that is.
    """
    for name, options in COMPRESSED.items():
        if not (folder / name).exists():
            print(f"{name}: compressing", file=sys.stderr, flush=True)
            command = (
                "-m",
                "tunewright.cli.main",
                "compress",
                str(folder / "run"),
                "--out",
                str(folder / name),
                "--passes",
                *options,
                *(("--max-loss", "1") if quick else ()),
            )
            subprocess.run([sys.executable, *command], check=True, stdout=sys.stderr)


def bundles(folder: Path) -> dict[str, Path]:
    """Our variants of whole bundles with their folders."""
    made = {name: folder / name for name in COMPRESSED if (folder / name).exists()}
    return {"ours": folder / "run/bundle", **made}


def _train(folder: Path) -> None:
    import tunewright

    tunewright.train(
        {
            "task": "text_classification",
            "data": {
                "train": str(folder / "train.csv"),
                "test": str(folder / "test.csv"),
                "max_tokens": MAX_TOKENS,
                "overflow": "truncate",  # as the peers do
                "leakage": "keep",
            },
            "model": {"backbone": "minilm-l6-en"},
            "train": {"epochs": EPOCHS},
            "evaluate": {"baselines": ["majority"], "resamples": 100},
        },
        out=folder / "run",
    )


def _for_peers(folder: Path) -> None:
    """The bundle's weights as `transformers` has them, without the layer that stands for mean pooling, and as ONNX."""
    import torch
    import transformers

    from tunewright.core import catalog
    from tunewright.models.layout import load_model

    transformers.utils.logging.disable_progress_bar()
    saved = folder / "run/bundle/model"
    model = load_model(saved)
    config = transformers.AutoConfig.from_pretrained(saved)
    config.num_hidden_layers = model.backbone.config.num_hidden_layers
    plain = transformers.BertForSequenceClassification(config)
    with torch.no_grad():
        plain.bert.load_state_dict(model.backbone.state_dict(), strict=False)
        plain.classifier.load_state_dict(model.head.output.state_dict())
    plain.save_pretrained(folder / "plain")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(saved / name, folder / "plain" / name)
    shutil.copytree(saved, folder / "model")
    for precision in ("fp32", "int8"):
        catalog.create("runtimes", {"name": "onnx", "precision": precision}).prepare(folder)  # type: ignore[attr-defined]
    shutil.rmtree(folder / "model")


def _write_rows(folder: Path) -> None:
    """The texts that are answered, their labels, and what the saved model says in fp32."""
    import tunewright

    rows = _read(folder / "test.csv", ("text",))
    exact = tunewright.load(folder / "run", "torch").predict([text for text, _ in rows])
    texts, labels = zip(*rows, strict=True)
    write_json(folder / "rows.json", {"texts": texts, "labels": labels, "exact": [one.value for one in exact]})


def _read(file: Path, columns: Sequence[str]) -> list[tuple[str, str]]:
    with open(file, encoding="utf-8", newline="") as stream:
        return [(". ".join(row[name] for name in columns), row["label"]) for row in csv.DictReader(stream)]


def _write(file: Path, rows: Sequence[tuple[str, str]]) -> None:
    with open(file, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])


def measures(task: str, variants: Sequence[str], folder: Path) -> list[harness.Measure]:
    """What is measured for a task. The settings name the bundle: another model's figures are no round of the same."""
    own = bundles(folder)
    asked = {"warm_up": WARM_UP, "alone": ALONE}
    found = []
    for name in variants:
        if name in own or name not in COMPRESSED:
            digest = read_json(own.get(name, own["ours"]) / "bundle.json")["digest"][:12]
            command = (str(ONCE), json.dumps({**asked, "folder": str(folder), "variant": name}))
            found.append(harness.Measure(f"{task}/{name}", command, {**asked, "bundle": digest}))
    return found


def summary(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Task → {"variants": {variant: figures}, …}. Ratios are of the same round; every figure with its range."""
    return {task: _of_task(task, measured) for task in TASKS if measured.get(f"{task}/ours", {}).get("rounds")}


def _of_task(task: str, measured: Mapping[str, Any]) -> dict[str, Any]:
    settings = measured[f"{task}/ours"]["settings"]
    rounds = {
        name: entry["rounds"]
        for name in VARIANTS
        if (entry := measured.get(f"{task}/{name}"))
        and entry["rounds"]
        and (name in COMPRESSED or entry["settings"] == settings)
    }
    variants = {}
    for name, found in rounds.items():
        values = {key: harness.median([one[key] for one in found]) for key in found[0] if key not in ("at", "commit")}
        values["texts_per_cpu_second"] = harness.median([one["texts"] / one["cpu_seconds"] for one in found])
        values["texts_per_second"] = harness.median([one["texts"] / one["wall_seconds"] for one in found])
        for peer in ("pipeline", "onnx_fp32"):
            pairs = list(zip(rounds.get(peer, ()), found, strict=False))
            if not pairs:
                continue
            values[f"times_{peer}"] = harness.median([its["cpu_seconds"] / own["cpu_seconds"] for its, own in pairs])
            for share in ("p50_cpu_ms", "p99_cpu_ms"):
                values[f"{share}_of_{peer}"] = harness.median([own[share] / its[share] for its, own in pairs])
        variants[name] = {**values, "rounds": len(found)}
    commits = sorted({one["commit"] for found in rounds.values() for one in found})
    return {"settings": settings, "commits": commits, "variants": variants}


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    harness.add_options(parser)
    parser.add_argument("--task", action="append", choices=TASKS, help="only this one; may be repeated")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="one task, few rows, into build/bench-quick")
    options = parser.parse_args()
    texts, rows = (QUICK_TEXTS, QUICK_ROWS) if options.quick else (TEXTS, None)
    if options.quick:
        options.task = options.task or QUICK_TASKS
        options.results = QUICK_RESULTS if options.results == harness.RESULTS else options.results
    data = harness.data_folder(options.data).absolute()
    for task in harness.present(options.task, {task: task for task in TASKS}, data):
        folder = prepared(task, data, texts, rows)
        if task in COMPRESSED_TASKS:
            compressed(folder, quick=options.quick)
        found = harness.take_turns(
            measures(task, options.variant or tuple(VARIANTS), folder),
            options.results / ("compressed.json" if task in COMPRESSED_TASKS else "inference.json"),
            rounds=options.rounds,
            threads=options.threads,
            again=options.again,
            summarise=summary,
        )
        if task in found["summary"]:
            print(answering({**found, "summary": {task: found["summary"][task]}}))


if __name__ == "__main__":
    main()
