"""How much memory a bundle takes to answer: a program of its own, so that nothing else is counted.

`python -m tunewright.predict.footprint BUNDLE < inputs.json`, a list of mappings from role to text, prints the peak in MiB.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.core.files import jsonable

STATUS = Path("/proc/self/status")  # of Linux, where what `resource` says of a process includes the one that began it


def peak(bundle: Path, inputs: Sequence[Mapping[str, Any]]) -> float | None:
    """MiB that a fresh process needs at most to open the bundle and answer these; None where it does not end well."""
    command = [sys.executable, "-m", "tunewright.predict.footprint", str(bundle)]
    done = subprocess.run(
        command, input=json.dumps(jsonable(list(inputs))), capture_output=True, text=True, check=False
    )
    return float(done.stdout.split()[-1]) if done.returncode == 0 and done.stdout.split() else None


def main() -> None:
    """Answer what is on standard input, and print the peak."""
    from tunewright.predict.predictor import load

    load(Path(sys.argv[1])).predict(json.load(sys.stdin))
    print(_peak())


def _peak() -> float:
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss, to the MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
