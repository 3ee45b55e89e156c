"""How fast a server answers: Tunewright, the pipeline of `transformers` behind FastAPI, and LitServe in turn, same weights.

    python benchmarks/serving.py             three rounds, some 20 minutes
    python benchmarks/serving.py --quick     one round, few rows of training: some minutes

The CLINC150 classifier of benchmarks/inference.py is asked for one text a request by 1, 16 and 64 clients; every fourth text is
several requests of that set joined, so that lengths are mixed. Its compressed bundles are asked too. Writes
benchmarks/results/serving.json after every measurement and goes on from there when it is called again. What each variant is
stands in benchmarks/serving_once.py, serving_fastapi.py and serving_litserve.py; benchmarks/report.py makes a table of the results.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import harness
import inference
from report import serving
from serving_once import SERVERS

from tunewright.core.files import read_json, write_json

ONCE = harness.ROOT / "benchmarks" / "serving_once.py"
TASK = "clinc150"
CLIENTS = (1, 16, 64)
SECONDS, QUICK_SECONDS = 6.0, 2.0  # that each number of clients asks
EVERY, JOINED = 4, (2, 12)  # each such text is so many of the set's
ORIGINALS = ("ours",)  # of our variants those with the very weights of the peers


def with_rows(folder: Path) -> Path:
    """The file of texts that are asked, the label of those that are single ones, and what the saved model says in fp32."""
    target = folder / "serving.json"
    if not target.exists():
        import tunewright

        rows, chance = read_json(folder / "rows.json"), random.Random(0)
        texts, single = list(rows["texts"]), []
        for place in range(len(texts)):
            if place % EVERY == EVERY - 1:
                texts[place] = " ".join(chance.choices(rows["texts"], k=chance.randint(*JOINED)))
            else:
                single.append((place, rows["labels"][place]))
        exact = [one.value for one in tunewright.load(folder / "run", "torch").predict(texts)]
        write_json(target, {"texts": texts, "labels": single, "exact": exact})
    return target


def measures(folder: Path, seconds: float) -> list[harness.Measure]:
    """What is measured. The settings name the bundle: another model's figures are no round of the same."""
    asked = {"folder": str(folder), "rows": str(with_rows(folder)), "clients": CLIENTS, "seconds": seconds}
    found = []
    for name, bundle in inference.bundles(folder).items():
        found.append(_measure(asked, name, read_json(bundle / "bundle.json")["digest"][:12]))
    digest = read_json(folder / "run/bundle/bundle.json")["digest"][:12]
    peers = [_measure(asked, name, digest) for name in SERVERS if not name.startswith("ours")]
    return [*peers, *found]


def _measure(asked: Mapping[str, Any], variant: str, digest: str) -> harness.Measure:
    settings = {"bundle": digest, "clients": list(asked["clients"]), "seconds": asked["seconds"]}
    return harness.Measure(variant, (str(ONCE), json.dumps({**asked, "variant": variant})), settings)


def summary(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Variant → figures, every one with its range; times_{peer}_c16 and the like are ratios of the same round."""
    rounds = {name: measured[name]["rounds"] for name in SERVERS if measured.get(name, {}).get("rounds")}
    found = {}
    for name, own in rounds.items():
        values = {key: harness.median([one[key] for one in own]) for key in own[0] if key not in ("at", "commit")}
        for peer in (peer for peer in rounds if not peer.startswith("ours")):
            for clients in CLIENTS:
                key = f"c{clients}_per_second"
                ratios = [one[key] / its[key] for one, its in zip(own, rounds[peer], strict=False)]
                if ratios:
                    values[f"times_{peer}_c{clients}"] = harness.median(ratios)
        found[name] = {**values, "rounds": len(own)}
    commits = sorted({one["commit"] for own in rounds.values() for one in own})
    settings = next(iter(measured.values()))["settings"]
    return {TASK: {"settings": settings, "commits": commits, "variants": found}} if found else {}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    harness.add_options(parser)
    parser.add_argument("--variant", action="append", choices=SERVERS, help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="one round, few rows, into build/bench-quick")
    options = parser.parse_args()
    texts, rows, seconds, rounds = inference.TEXTS, None, SECONDS, options.rounds
    if options.quick:
        texts, rows, seconds, rounds = inference.QUICK_TEXTS, inference.QUICK_ROWS, QUICK_SECONDS, 1
        options.results = inference.QUICK_RESULTS if options.results == harness.RESULTS else options.results
    data = harness.data_folder(options.data).absolute()
    for _ in harness.present([TASK], {TASK: TASK}, data):
        folder = inference.prepared(TASK, data, texts, rows)
        inference.compressed(folder, quick=options.quick)
        wanted = [one for one in measures(folder, seconds) if one.key in (options.variant or SERVERS)]
        found = harness.take_turns(
            wanted,
            options.results / "serving.json",
            rounds=rounds,
            threads=options.threads,
            again=options.again,
            summarise=summary,
        )
        print(serving(found))


if __name__ == "__main__":
    main()
