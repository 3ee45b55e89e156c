"""What waiting threads cost on shared cores: training steps with OMP_WAIT_POLICY active and passive, side by side.

Run: python benchmarks/speed/waiting.py. It takes turns (active, passive, active, …) with as many busy programs beside it
as the machine has cores, and on free cores; prints medians and writes benchmarks/results/waiting.json.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS, SECONDS = 3, 6.0
RESULTS = Path(__file__).parent.parent / "results" / "waiting.json"
STEP = """
import time
import torch
from tunewright.core import catalog
from tunewright.models.locate import locate
from tunewright.models.model import build_model

model = build_model(locate("minilm-l6-en").folder, catalog.create("heads", "pooled"), [str(i) for i in range(46)])
ids = torch.randint(1000, 20000, (32, 12))
batch, labels = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, torch.randint(0, 46, (32,))

def step():
    torch.nn.functional.cross_entropy(model(batch), labels).backward()
    model.zero_grad()

step()
started, tokens = time.perf_counter(), 0
while time.perf_counter() - started < %f:
    step()
    tokens += ids.numel()
print(tokens / (time.perf_counter() - started))
"""


def tokens_per_second(policy: str) -> float:
    """Forward and backward passes of MiniLM on all cores in a fresh process."""
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, "-c", STEP % SECONDS], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def measured(busy: int) -> dict[str, float]:
    """Median tokens per second under both policies with `busy` other programs computing."""
    found: dict[str, list[float]] = {"ACTIVE": [], "PASSIVE": []}
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        for _ in range(ROUNDS):
            for policy, values in found.items():
                values.append(tokens_per_second(policy))
    finally:
        for other in others:
            other.kill()
            other.wait()
    return {policy: statistics.median(values) for policy, values in found.items()}


def main() -> None:
    """Measure, print and write."""
    cores = len(os.sched_getaffinity(0))
    results = {"cores": cores, "free": measured(0), "busy": measured(cores)}
    for name in ("free", "busy"):
        ratio = results[name]["PASSIVE"] / results[name]["ACTIVE"]
        results[name]["ratio"] = ratio
        print(f"{name} cores: passive {results[name]['PASSIVE']:.0f} tokens/s, {ratio:.2f} times active")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
