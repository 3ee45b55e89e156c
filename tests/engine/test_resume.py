"""A run killed anywhere goes on to the same bits: weights, metrics, verdict and ledger.

The kills are real: SIGKILL to a whole process, at the moment of a file operation that is counted off, so that every run
of these tests stops at the same places. The processes are forked from one that has imported everything already.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"}
# Where a run stands when it touches a path of its folder; the first pattern that fits.
PHASES = {
    "starting": r"^$|run\.json|environment|recipe\.yaml",
    "preparing": r"data",
    "tokenizing": r"encoded|^ledger",
    "training": r"checkpoints|metrics",
    "judging": r"bundle|report|errors|verdict|sealed",
}
KILLS = {"starting": 1, "preparing": 1, "tokenizing": 1, "training": 4, "judging": 2}
# Moments at which half a fact is written: just after these took their names, and nothing else that belongs to them.
TENDER = ("environment.json", "encoded", "checkpoints/best", "sealed.json", "bundle", "report.json")
# Imported once, before the processes are forked: what a run would import by itself, all but our own components.
READY = (
    "pytest", "tunewright.engine.local", "transformers.models.bert.modeling_bert", "transformers.convert_slow_tokenizer",
    "transformers.models.auto.modeling_auto", "torch._dynamo", "torch.profiler", "accelerate.utils", "datasketch",
    "matplotlib.figure", "pyarrow.pandas_compat", "py3langid", "scipy.optimize", "scipy.sparse",
)  # fmt: skip
SEED = 20
RECIPE = """\
task: text_classification
data: {{train: {train}, max_tokens: 12}}
model: {{backbone: {backbone}, dropout: 0.1}}
train: {{epochs: 3, batch_size: 16, learning_rate: 0.002, checkpoint_steps: 4, precision: fp32, threads: 1,
        device: cpu}}
evaluate: {{baselines: [majority, linear_probe], resamples: 100}}
decision: {{max_error: 0.3}}
predict: {{runtime: torch}}
"""


# ----------------------------------------------------------------------------------- a process that can be killed


def _run_in_fork(arguments: list[str], log: str, trace: str | None, stop_at: int | None, number: int) -> None:
    """Run the command line in this process; note its file operations in `trace`; at the `stop_at`-th, get a signal."""
    with open(log, "a") as told:
        os.dup2(told.fileno(), 1)
        os.dup2(told.fileno(), 2)
    from tunewright.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a test runner in the background has it ignored
    main._register()
    out = arguments[arguments.index("--out") + 1]
    sys.addaudithook(_Hook(Path(out).parent, trace, stop_at, number))
    sys.argv = ["tunewright", *arguments]
    os._exit(main.run(arguments))


class _Hook:
    """Counts the operations on files under `folder`, those that read among them."""

    def __init__(self, folder: Path, trace: str | None, stop_at: int | None, number: int) -> None:
        self.folder, self.stop_at, self.number, self.count = str(folder), stop_at, number, 0
        self.trace = open(trace, "w") if trace else None  # noqa: SIM115 - open as long as the process lives

    def __call__(self, event: str, arguments: tuple) -> None:
        if event not in OPERATIONS:
            return
        path = str(arguments[0])
        if not path.startswith(self.folder):
            return
        self.count += 1
        if self.trace:
            self.trace.write(f"{event}\t{path.removeprefix(self.folder)}\n")
            self.trace.flush()
        if self.count == self.stop_at:
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def forked():
    """forked(arguments, log, trace=None, stop_at=None) → exit code, or minus the signal that ended the process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(READY))

    def run(arguments: list[str], log: Path, *, trace: Path | None = None, stop_at: int | None = None, number=9) -> int:
        given = (arguments, str(log), str(trace) if trace else None, stop_at, int(number))
        process = context.Process(target=_run_in_fork, args=given)
        process.start()
        process.join(240)
        assert process.exitcode is not None, "the process does not end"
        return process.exitcode

    return run


# -------------------------------------------------------------------------------------------- one uninterrupted run


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, tiny_backbone, intents_csv):
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(RECIPE.format(train=intents_csv.train, backbone=tiny_backbone))
    return path


@pytest.fixture(scope="module")
def fast_recipe(recipe):
    """The same without dropout and in bf16: computed without padding, by the kernels where there are some."""
    path = recipe.with_name("fast.yaml")
    path.write_text(recipe.read_text().replace("dropout: 0.1", "dropout: 0.0").replace("fp32", "bf16"))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory, recipe, forked):
    """(what an uninterrupted run ends with, the file operations it does)."""
    return _uninterrupted(tmp_path_factory.mktemp("whole"), recipe, forked)


@pytest.fixture(scope="module")
def fast_whole(tmp_path_factory, fast_recipe, forked):
    """The same of the fast recipe."""
    return _uninterrupted(tmp_path_factory.mktemp("fast"), fast_recipe, forked)


def _uninterrupted(folder: Path, recipe: Path, forked) -> tuple[dict[str, object], list[tuple[str, ...]]]:
    code = forked(["train", str(recipe), "--out", str(folder / "runs" / "a")], folder / "log", trace=folder / "trace")
    assert code == 0, (folder / "log").read_text()
    assert outcome(folder / "runs" / "a")["report"]["training"]["best_step"] > 0, (
        "the last weights must be trained ones"
    )
    operations = [tuple(line.split("\t")) for line in (folder / "trace").read_text().splitlines()]
    return outcome(folder / "runs" / "a"), operations


def outcome(run: Path) -> dict[str, object]:
    """Everything of a run that must not depend on how often it was interrupted."""
    report = json.loads((run / "report.json").read_text("utf-8"))
    for name in ("created", "command", "environment"):
        report.pop(name)
    for name in ("seconds", "tokens_per_second", "peak_memory_mb"):
        report["training"].pop(name)
    return {
        "weights": hashlib.sha256((run / "bundle" / "model" / "model.safetensors").read_bytes()).hexdigest(),
        "decision": json.loads((run / "bundle" / "decision.json").read_text("utf-8")),
        "metrics": (run / "metrics.jsonl").read_text("utf-8"),
        "verdict": json.loads((run / "verdict.json").read_text("utf-8")),
        "ledger": (run / "ledger.jsonl").read_text("utf-8"),
        "report": report,
        "files": sorted(str(path.relative_to(run)) for path in run.rglob("*")),
    }


def phase(path: str) -> str:
    """The phase in which a path, relative to the run's folder, is touched."""
    return next((name for name, pattern in PHASES.items() if re.search(pattern, path)), "starting")


def places(operations, seed: int = SEED) -> list[tuple[str, int]]:
    """(phase, number of the operation to die at), drawn by `seed` from every phase."""
    draw = random.Random(seed)
    by_phase: dict[str, list[int]] = {}
    for number, (_, path) in enumerate(operations, 1):
        by_phase.setdefault(phase(path.removeprefix("/a").lstrip("/")), []).append(number)
    assert set(by_phase) == set(PHASES)
    drawn = [(name, number) for name, count in KILLS.items() for number in sorted(draw.sample(by_phase[name], count))]
    return drawn + [(f"behind {name}", _behind(operations, name)) for name in TENDER]


def _behind(operations, name: str) -> int:
    """The number of the operation that follows the last one in which a temporary file or folder became `name`."""
    folder, _, last = f"/{name}".rpartition("/")
    pattern = rf"^(/a)?{folder}/\.{re.escape(last)}\.\w+\.part$"
    found = [n for n, (event, path) in enumerate(operations, 1) if event == "os.rename" and re.match(pattern, path)]
    return found[-1] + 1


def resume(forked, recipe: Path, run: Path, log: Path, **more: int) -> int:
    """Go on; a run that was killed before it was one is started again, as its message says."""
    given = ["train", str(recipe), "--out", str(run)]
    if (run / "run.json").exists():
        return forked([*given, "--resume"], log, **more)
    code = forked([*given, "--resume"], log)
    assert code == 3 and "Leave out --resume to start one" in log.read_text()
    return forked(given, log, **more)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(sum(KILLS.values()) + len(TENDER)))
def test_a_run_killed_anywhere_goes_on_to_the_same_bits(whole, recipe, forked, tmp_path, index):
    expected, operations = whole
    name, number = places(operations)[index]
    run, log = tmp_path / "runs" / "a", tmp_path / "log"
    code = forked(["train", str(recipe), "--out", str(run)], log, stop_at=number)
    assert code == -signal.SIGKILL, log.read_text()
    where = f"killed while {name}, at {operations[number - 1]}"
    assert resume(forked, recipe, run, log) == 0, f"{where}:\n{log.read_text()}"
    assert outcome(run) == expected, where


@pytest.mark.slow
@pytest.mark.parametrize("index", [1, 3])
def test_the_fast_way_goes_on_to_the_same_bits_from_a_kill_in_training(
    fast_whole, fast_recipe, whole, forked, tmp_path, index
):
    expected, operations = fast_whole
    assert expected["weights"] != whole[0]["weights"]
    number = [number for name, number in places(operations) if name == "training"][index]
    run, log = tmp_path / "runs" / "a", tmp_path / "log"
    assert forked(["train", str(fast_recipe), "--out", str(run)], log, stop_at=number) == -signal.SIGKILL
    assert resume(forked, fast_recipe, run, log) == 0, log.read_text()
    assert "Going on from step" in log.read_text()
    assert outcome(run) == expected


@pytest.mark.slow
def test_a_run_killed_again_and_again_goes_on_to_the_same_bits(whole, recipe, forked, tmp_path):
    expected, operations = whole
    run, log = tmp_path / "runs" / "a", tmp_path / "log"
    draw = random.Random(SEED)
    code = forked(["train", str(recipe), "--out", str(run)], log, stop_at=draw.randint(1, 60))
    kills = 0
    while code == -signal.SIGKILL and kills < 4:
        kills += 1
        code = resume(forked, recipe, run, log, stop_at=draw.randint(30, len(operations) // 2))
    if code == -signal.SIGKILL:
        code = resume(forked, recipe, run, log)
    assert code == 0 and kills >= 2, log.read_text()
    assert outcome(run) == expected


@pytest.mark.slow
def test_resuming_a_finished_run_changes_nothing(whole, recipe, forked, tmp_path):
    run, log = tmp_path / "runs" / "a", tmp_path / "log"
    assert forked(["train", str(recipe), "--out", str(run)], log) == 0
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert forked(["train", str(recipe), "--out", str(run), "--resume"], log) == 0
    assert "is finished already; nothing to do" in log.read_text()
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert outcome(run) == whole[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["preparing", "training", "judging"])
def test_ctrl_c_ends_with_130_and_the_very_command_that_goes_on(whole, recipe, forked, tmp_path, name):
    expected, operations = whole
    number = next(number for found, number in places(operations, seed=SEED + 2) if found == name)
    run, log = tmp_path / "runs" / "a", tmp_path / "log"
    given = ["train", str(recipe), "--out", str(run), "--set", "seed=13"]
    assert forked(given, log, stop_at=number, number=signal.SIGINT) == 130, log.read_text()
    said = log.read_text()
    assert "Traceback" not in said
    again = re.search(r"Go on with: tunewright (.*)", said)
    assert again, said
    assert forked(shlex.split(again.group(1)), log) == 0, log.read_text()
    assert outcome(run) == expected


def test_a_run_cannot_be_resumed_with_another_recipe(recipe, tmp_path, command):
    run = tmp_path / "run"
    assert command("train", recipe, "--out", run, "--set", "data.train=nowhere.csv")[0] == 3
    code, _, said = command("train", recipe, "--out", run, "--resume", "--set", "train.epochs=9")
    assert code == 3
    assert "differs from the one" in said and "train.epochs" in said and "without --resume" in said


def test_a_run_of_another_version_cannot_be_resumed_and_changed_packages_are_said(recipe, tmp_path, command):
    run = tmp_path / "run"
    assert command("train", recipe, "--out", run, "--set", "data.train=nowhere.csv")[0] == 3
    found = json.loads((run / "environment.json").read_text())
    again = ("train", recipe, "--out", run, "--set", "data.train=nowhere.csv", "--resume")
    (run / "environment.json").write_text(json.dumps(found | {"versions": found["versions"] | {"torch": "2.0.1"}}))
    _, _, said = command(*again)
    assert f"Packages have changed since this run was started (torch 2.0.1 → {found['versions']['torch']})" in said
    (run / "environment.json").write_text(json.dumps(found | {"versions": found["versions"] | {"tunewright": "0.0.1"}}))
    code, _, said = command(*again)
    assert code == 3
    assert "was started by tunewright 0.0.1, and this is" in said and "Finish it with that version" in said


def test_a_run_cannot_be_resumed_with_other_rows(recipe, intents_csv, tmp_path, command):
    rows = tmp_path / "rows.csv"
    rows.write_bytes(intents_csv.train.read_bytes())
    stops = ("--set", f"data.train={rows}", "--set", "train.early_stopping.metric=nothing")
    given = ("train", recipe, "--out", tmp_path / "run", *stops)
    assert "there is no metric 'nothing'" in command(*given)[2]
    rows.write_text(rows.read_text("utf-8") + "one more song,music,en\n", "utf-8")
    code, _, said = command(*given, "--resume")
    assert code == 3
    assert "The data has changed since" in said and "Resume with the same data, or start a new run" in said
    rows.write_bytes(intents_csv.train.read_bytes())
    assert "there is no metric 'nothing'" in command(*given, "--resume")[2]


def test_resuming_what_never_began_says_so(recipe, tmp_path, command):
    code, _, said = command("train", recipe, "--out", tmp_path / "never", "--resume")
    assert code == 3
    assert "There is no unfinished run" in said and "Leave out --resume" in said


@pytest.mark.slow
def test_the_program_itself_survives_kills_at_any_time(whole, recipe, tmp_path):
    """From outside, by the clock: no moment is chosen for it."""
    run = tmp_path / "runs" / "a"
    program = [sys.executable, "-m", "tunewright.cli.main", "train", str(recipe), "--out", str(run), "--json"]
    draw, more = random.Random(SEED), []
    for _ in range(2):
        process = subprocess.Popen([*program, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not (run / "run.json").exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0.05, 2.0))
        process.kill()
        process.communicate()
        more = ["--resume"]
    done = subprocess.run([*program, *more], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["verdict"] == whole[0]["verdict"]["verdict"]
    assert outcome(run) == whole[0]
