"""What `make demo` runs: train a real model on real intents, see the verdict, ask the model three things.

A finished demo is shown again at once, an interrupted one goes on; `python examples/demo.py --anew` trains another one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import tunewright
from tunewright.core.errors import TunewrightError
from tunewright.core.files import jsonable, read_json
from tunewright.core.recipe import to_mapping
from tunewright.core.recipe_file import load
from tunewright.core.run import Run, all_runs

RECIPE = Path("recipes/demo.yaml")
SAID = (
    "how much is left in my checking account",
    "find me a flight from boston to denver on friday",
    "who painted the ceiling of the sistine chapel",  # none of the 45 intents
)


def main() -> int:
    """Train, or find what was trained; then show the verdict and three answers. Gives the exit code."""
    os.chdir(Path(__file__).resolve().parent.parent)
    runs = [] if "--anew" in sys.argv[1:] else earlier_runs()
    if runs and runs[-1].about["status"] == "finished":
        print(f"The demo was trained before, on {runs[-1].about['created'][:10]}; here it is again.")
        print("To train another one: .venv/bin/python examples/demo.py --anew\n")
        return show(runs[-1].folder)
    code, folder = train(["--out", str(runs[-1].folder), "--resume"] if runs else [])
    return code or show(folder)


def earlier_runs() -> list[Run]:
    """Runs of the demo's recipe as it stands now, oldest first."""
    wanted = jsonable(to_mapping(load(RECIPE)))
    runs = [run for run in all_runs() if run.name.partition("-")[0] == RECIPE.stem]
    return [run for run in runs if run.about.get("given") == wanted]


def train(options: list[str]) -> tuple[int, Path]:
    """Run `tunewright train`, its progress on the terminal. Gives its exit code and the run's folder."""
    words = ["train", str(RECIPE), *options]
    print(f"$ tunewright {' '.join(words)}", flush=True)
    before = signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the training, which saves and says so
    done = subprocess.run(
        [sys.executable, "-m", "tunewright.cli.main", *words, "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    signal.signal(signal.SIGINT, before)
    if done.returncode == 130:
        print("The next `make demo` goes on from there.")
    return done.returncode, Path(json.loads(done.stdout)["run"]) if done.returncode == 0 else Path()


def show(folder: Path) -> int:
    """Print a finished run's verdict and three answers of its model. Gives the exit code."""
    print(read_json(folder / "verdict.json")["sentence"]["en"])
    print(f"\nReport, for a browser: {folder / 'report.html'}")
    print(f"Model, to be used:     {folder / 'bundle'}\n")
    try:
        answers = tunewright.load(folder / "bundle").predict(SAID)
    except TunewrightError as error:
        print(f"{error}\nTo train anew: .venv/bin/python examples/demo.py --anew", file=sys.stderr)
        return error.exit_code
    print(f"{'text':50} {'answer':16} score")
    for text, answer in zip(SAID, answers, strict=True):
        print(f"{text:50} {answer.value:16} {answer.score:.3f}")
    print("\nAsk it yourself:  echo 'what is my balance' | .venv/bin/tunewright predict", folder / "bundle", "-")
    print("Your own data:    .venv/bin/tunewright init YOURS.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
