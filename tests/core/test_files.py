"""Files are written whole or not at all, and what the system refuses is told with what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tunewright.core import files
from tunewright.core.errors import DamagedFile, MachineError


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 64 KiB, where this process may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small file system here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def without_rights():
    """Inside, this process has no special rights."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def killed(code: str, *arguments: Path) -> None:
    """Run `code` in a process that kills itself on the way."""
    script = (
        f"import os, sys\nfrom pathlib import Path\nfrom tunewright.core import files\npath = Path(sys.argv[1])\n{code}"
    )
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


# ------------------------------------------------------------------------------------------------------------- whole


def test_text_is_written_as_it_is_into_folders_that_are_made(tmp_path):
    files.write_text(tmp_path / "a" / "b" / "c.txt", "好\r\nline\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "好\r\nline\n".encode()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.txt"]


def test_a_file_name_that_is_no_unicode_can_be_written_about(tmp_path):
    files.write_text(tmp_path / "a.txt", "lone \udcff surrogate")
    assert (tmp_path / "a.txt").read_text() == "lone \\udcff surrogate"


def test_json_holds_what_json_can_hold(tmp_path):
    value = {
        1: np.float32(0.5),
        "nan": float("nan"),
        "inf": [float("inf")],
        "array": np.arange(2),
        "path": Path("a"),
        "s": {3},
    }
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == {
        "1": 0.5, "nan": None, "inf": [None], "array": [0, 1], "path": "a", "s": [3]
    }  # fmt: skip


def test_a_written_file_has_the_usual_rights(tmp_path):
    before = os.umask(0o022)
    try:
        files.write_text(tmp_path / "a.txt", "x")
        with files.writing_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o755


def test_a_folder_takes_the_place_of_the_one_before(tmp_path):
    for content in ("first", "second"):
        with files.writing_folder(tmp_path / "folder") as temporary:
            (temporary / f"{content}.txt").write_text(content)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["second.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_hash_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# ------------------------------------------------------------------------------------------------------ or not at all


def test_an_error_on_the_way_leaves_the_old_file_and_nothing_else(tmp_path):
    files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), files.writing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half of the new o")
        raise ZeroDivisionError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_an_error_on_the_way_leaves_the_old_folder_and_nothing_else(tmp_path):
    with files.writing_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), files.writing_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("new")
        raise ZeroDivisionError
    assert (tmp_path / "folder" / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_kill_on_the_way_leaves_the_old_file(tmp_path):
    files.write_text(tmp_path / "a.txt", "old")
    killed(
        "with files.writing(path) as temporary:\n    temporary.write_text('new')\n    os.kill(os.getpid(), 9)",
        tmp_path / "a.txt",
    )
    assert (tmp_path / "a.txt").read_text() == "old"
    files.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_kill_while_a_folder_is_replaced_loses_neither_the_old_nor_the_new_one(tmp_path, moment):
    with files.writing_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("old")
    killed(
        "renames = 0\n"
        "def hook(event, arguments):\n"
        "    global renames\n"
        "    if event in ('os.rename', 'shutil.rmtree'):\n"
        "        renames += 1\n"
        f"        if renames == {moment}: os.kill(os.getpid(), 9)\n"
        "with files.writing_folder(path) as temporary:\n"
        "    (temporary / 'a').write_text('new')\n"
        "    sys.addaudithook(hook)",
        tmp_path / "folder",
    )
    files.sweep(tmp_path)
    assert (tmp_path / "folder" / "a").read_text() == ("new" if moment == 3 else "old")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_sweeping_leaves_files_of_others_alone(tmp_path):
    for name in (".hidden", "a.part", ".git/b.old.txt", "c/.d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    files.sweep(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


# ------------------------------------------------------------------------------------------ what the system refuses


def test_a_full_disk_is_told_and_leaves_the_old_file(small_disk):
    files.write_text(small_disk / "a.txt", "old")
    with pytest.raises(
        MachineError, match=r"Cannot write .*a\.txt: No space left.* The disk is full: free some space, or"
    ):
        files.write_text(small_disk / "a.txt", "x" * 1_000_000)
    assert (small_disk / "a.txt").read_text() == "old"
    assert [path.name for path in small_disk.iterdir()] == ["a.txt"]


def test_a_full_disk_leaves_no_part_of_a_folder(small_disk):
    with (
        pytest.raises(MachineError, match="The disk is full"),
        files.writing_folder(small_disk / "folder") as temporary,
    ):
        (temporary / "a").write_bytes(b"x" * 1_000_000)
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (
            errno.ENOSPC,
            "The disk is full: free some space, or choose another folder with --out (or TMPDIR, for temporary files).",
        ),
        (errno.EDQUOT, "Your disk quota is used up"),
        (errno.EACCES, "No permission to write there: choose another folder with --out, or change its rights."),
        (errno.EPERM, "No permission to write there"),
        (errno.EROFS, "That file system is read-only: choose another folder with --out."),
        (errno.ENAMETOOLONG, "The path is too long: choose a shorter one."),
    ],
)
def test_a_refusal_of_the_system_is_told_with_what_to_do(tmp_path, monkeypatch, number, said):
    def refuse(source, target):
        raise OSError(number, os.strerror(number))

    files.write_text(tmp_path / "a.txt", "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(MachineError) as caught:
            files.write_text(tmp_path / "a.txt", "new")
    assert str(caught.value) == f"Cannot write {tmp_path / 'a.txt'}: {os.strerror(number)}. {said}" or said in str(
        caught.value
    )
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_an_error_with_no_advice_stays_what_it_is(tmp_path):
    with pytest.raises(OSError, match="Input/output error"), files.machine_errors(tmp_path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_folder_one_may_not_write_in_is_told(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    with without_rights(), pytest.raises(MachineError, match=r"Permission denied\. No permission to write there"):
        files.write_text(tmp_path / "closed" / "a.txt", "x")
    assert list((tmp_path / "closed").iterdir()) == []


def test_a_file_where_a_folder_is_needed_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(MachineError, match=r"a file, not a folder|A file stands where a folder is needed"):
        files.write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(MachineError, match="The path is too long"):
        files.write_text(tmp_path / ("x" * 300), "x")


def test_a_full_disk_is_told_when_a_library_written_in_rust_meets_it(small_disk):
    from safetensors.numpy import save_file

    with (
        pytest.raises(MachineError, match=r"Cannot write .*folder: No space left on device\. The disk is full"),
        files.writing_folder(small_disk / "folder") as temporary,
    ):
        save_file({"a": np.zeros(100_000)}, temporary / "a.safetensors")
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("content", [b'{"a": 1', b"[" * 100_000, b"\xff\xfe", b""])
def test_a_file_of_ours_that_is_cut_off_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedFile, match=r"a\.json is damaged: what it holds is no whole JSON\. Restore it, or start"):
        files.read_json(tmp_path / "a.json")


def test_a_file_follows_the_umask_even_where_a_library_gave_it_other_rights(tmp_path):
    before = os.umask(0o022)
    try:
        with files.writing_folder(tmp_path / "folder") as temporary:
            (temporary / "a.safetensors").touch(mode=0o600)
        with files.writing(tmp_path / "b") as temporary:
            temporary.touch()
    finally:
        os.umask(before)
    assert (tmp_path / "folder" / "a.safetensors").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o644
