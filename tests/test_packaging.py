"""What pip installs is whole: every module and template, the licence and its notices, the command."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import tunewright

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def metadata(wheel, names):
    (path,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(zipfile.ZipFile(wheel).read(path))


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(names):
    files = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*") if path.is_file()}
    expected = {name for name in files if "__pycache__" not in name and not name.endswith(".pyc")}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.endswith("templates/report.html.j2") for name in names)


def test_licence_and_notice_travel_with_it(wheel, names):
    for file in ("LICENSE", "NOTICE"):
        (path,) = (name for name in names if name.endswith(f".dist-info/licenses/{file}"))
        assert zipfile.ZipFile(wheel).read(path).decode() == (ROOT / file).read_text("utf-8")


def test_the_metadata_says_what_it_is_and_needs(metadata):
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert metadata["Name"] == "tunewright"
    assert metadata["Version"] == tunewright.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == declared["requires-python"]
    assert metadata["Summary"] == declared["description"]
    assert "# Tunewright" in metadata.get_payload()
    # Ranges, not pins: other packages have a say too. Only weights are pinned, since their bytes are checked.
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert [line for line in needed if "==" in line] == []


def test_it_runs_from_where_the_wheel_was_unpacked(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        "import tunewright; print(tunewright.__file__)\n"
        "from tunewright.stages.report import html\n"
        "from tunewright.core import catalog; print(*catalog.names('methods'))\n"
        "from tunewright.cli import main; main._register(); main.run(['--version'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    where, methods, version = done.stdout.splitlines()
    assert where.startswith(str(tmp_path))
    assert {"full", "lora"} <= set(methods.split())
    assert version == f"tunewright {tunewright.__version__}"


def test_every_version_that_ci_pins_is_one_that_the_package_accepts():
    from packaging.requirements import Requirement

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [line for lines in declared["optional-dependencies"].values() for line in lines]
    accepted = {found.name: found.specifier for found in map(Requirement, [*declared["dependencies"], *extras])}
    lines = [
        line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if line and not line.startswith("#")
    ]
    for pin in map(Requirement, lines):
        (version,) = (part.version for part in pin.specifier)
        assert accepted[pin.name].contains(version), f"{pin} is outside {accepted[pin.name]}"
