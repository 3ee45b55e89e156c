"""The documentation is true: pages are current, links lead somewhere, recipes are valid, commands and programs run."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from tunewright.cli import main as cli
from tunewright.core import catalog, recipe_file
from tunewright.core.recipe import FindingKind
from tunewright.testing import cases, pretend_installed, tiny_backbone

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src/tunewright"
EXAMPLES = ROOT / "docs/examples"
# Pages are about thousands of rows, several epochs and a real model. To see that their commands work, little will do.
SHORT = ("data.limit=200", "train.epochs=1", "evaluate.resamples=100")
SHIM = """#!/bin/sh
case "$1" in
check|train|search) exec {python} -m tunewright.cli.main "$@" {changes} ;;
*) exec {python} -m tunewright.cli.main "$@" ;;
esac
"""


def _reference():
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs/make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _reference()
cli._register()
PAGES = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in reference.pages()}
each_page = pytest.mark.parametrize("page", PAGES)


def blocks(page: str, mark: str) -> list[str]:
    """The code blocks of a page that stand after `<!-- mark -->`."""
    return re.findall(rf"^<!-- {mark} -->\n+```\w*\n(.*?)^```$", PAGES[page], re.DOTALL | re.MULTILINE)


# ------------------------------------------------------------------------------------------------------ what it says


@each_page
def test_a_page_shows_the_code_as_it_is_now(page):
    assert reference.refreshed(PAGES[page]) == PAGES[page], "run: python docs/make_reference.py"


def test_every_example_stands_on_a_page():
    shown = {path for text in PAGES.values() for path in re.findall(r"<!-- file (\S+) -->", text)}
    assert {str(path.relative_to(ROOT)) for path in EXAMPLES.iterdir() if path.is_file()} <= shown


@each_page
def test_links_lead_somewhere(page):
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _without_code(PAGES[page])):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in _anchors(target.read_text("utf-8"))):
            wrong.append(link)
    assert wrong == []


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def _anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_files_and_tests_that_a_page_names_exist(page):
    files = re.findall(r"`((?:tests|src|docs|examples|recipes|scripts)/[\w./-]+\.\w+)`", PAGES[page])
    assert [path for path in files if not (ROOT / path).exists()] == []
    inner = re.findall(
        r"`((?:cli|apps|engine|stages|serve|predict|training|components|models|data|core|testing)/[\w./-]+\.py)`",
        PAGES[page],
    )
    assert [path for path in inner if not (SOURCE / path).exists()] == []
    written = {
        name for file in ROOT.glob("tests/**/*.py") for name in re.findall(r"def (test_\w+)", file.read_text("utf-8"))
    }
    assert set(re.findall(r"`(test_\w{20,})`", PAGES[page])) <= written


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_tree_shows_every_folder_and_none_that_is_not_there(page):
    shown, above = set(), ""
    for inner, name in re.findall(r"^(│   )?[├└]── ([\w/]+)/", PAGES[page], re.MULTILINE):
        above = above if inner else name
        shown.add(f"{above}/{name}" if inner else name)
    assert shown == _folders()


def _folders() -> set[str]:
    """Folders with code, two deep; what the conformance suite keeps inside is its own matter."""
    found = {path.parent.relative_to(SOURCE) for path in SOURCE.glob("*/**/*.py")}
    two_deep = {Path(*path.parts[:2]) for path in found}
    return {str(path) for path in two_deep} - {"testing/kinds"}


def test_the_tree_names_the_verbs_that_are_there():
    line = next(line for line in PAGES["README.md"].splitlines() if "verbs/" in line)
    assert {name for name, _ in reference._modules()} == set(line.rpartition(": ")[2].split(", "))


def test_the_table_of_findings_names_each_kind_that_a_recipe_can_refuse():
    section = PAGES["docs/data.md"].partition("## What `check` finds")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(typing.get_args(FindingKind))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "recipe")])
def test_recipes_on_pages_are_valid(page, tmp_path):
    for number, text in enumerate(blocks(page, "recipe")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text, "utf-8")
        recipe_file.load(path)


def test_the_chinese_tutorial_runs_the_same_commands():
    assert blocks("docs/zh/start.md", "run") == blocks("docs/start.md", "run")


# ------------------------------------------------------------------------------------------------------ that it works


def test_the_example_component_keeps_its_contract(tmp_path):
    source = (EXAMPLES / "bias_only.py").read_text("utf-8")
    with pretend_installed(tmp_path / "plugin", "methods", "bias_only", source):
        for number, case in enumerate(cases("methods", "bias_only")):
            (tmp_path / str(number)).mkdir()
            case.run(tmp_path / str(number))
        (text,) = blocks("docs/components.md", "recipe plugin")
        (tmp_path / "recipe.yaml").write_text(text, "utf-8")
        method = recipe_file.load(tmp_path / "recipe.yaml").train.method
        assert catalog.describe(method) == {"name": "bias_only", "norms": False}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder as a reader of the tutorial has it: the recipes, data of their own, and the run it makes."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    tiny_backbone(folder / "tiny")
    (folder / "bin").mkdir()
    (folder / "bin/tunewright").write_text(SHIM.format(python=sys.executable, changes=" ".join(_short(folder))))
    (folder / "bin/tunewright").chmod(0o755)
    with open(ROOT / "recipes/data/clinc150_part/train.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::12]
    for name, columns in (("messages.csv", ["text", "label"]), ("new.csv", ["text"])):
        with open(folder / name, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows if "label" in columns else rows[:10])
    _follow("docs/start.md", folder)
    return folder


def _short(folder: Path) -> list[str]:
    return [word for change in (*SHORT, f"model.backbone={folder / 'tiny'}") for word in ("--set", change)]


def _shell(command: str, folder: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"$ {command}\n{done.stderr}"
    return done


def _follow(page: str, folder: Path) -> None:
    """Run a page's shell blocks in order; what it says they print must be in what they print."""
    pattern = r"^<!-- run -->\n```sh\n(.*?)^```$(?:\n+<!-- prints -->\n```text\n(.*?)^```$)?"
    for command, promised in re.findall(pattern, PAGES[page], re.DOTALL | re.MULTILINE):
        done = _shell(command, folder)
        printed = (done.stdout + done.stderr).splitlines()
        assert [line for line in promised.splitlines() if line != "…" and line not in printed] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial_runs_to_an_answer_for_every_row(place):
    with open(place / "answers.csv", encoding="utf-8") as file:
        answers = list(csv.DictReader(file))
    assert len(answers) == 1650
    assert all(answer["decision"] == "model" for answer in answers)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", ["README.md", "docs/resume.md", "docs/search.md"])
def test_the_commands_on_a_page_run(place, page):
    assert blocks(page, "run")
    _follow(page, place)


PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py") if path.stem not in ("bias_only", "test_bias_only"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_runs_and_prints_something(place, name, monkeypatch, capsys):
    monkeypatch.chdir(place)
    if name == "readme.py":
        assert cli.run(["init", "messages.csv", "--force", *_short(place)]) == 0
        capsys.readouterr()
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert capsys.readouterr().out.strip()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_json_holds_the_keys_that_the_page_promises(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    table = PAGES["docs/cli.md"].partition("<!-- json -->")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `tunewright ([^`]+)` \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) >= 8
    for command, keys in rows:
        words = command.split()
        changes = _short(place) if words[0] in ("check", "train", "search") else []
        assert cli.run([*words, *changes, "--json"]) == 0, command
        answer = json.loads(capsys.readouterr().out)
        assert [key for key in re.findall(r"`(\w+)`", keys) if key not in answer] == [], command
