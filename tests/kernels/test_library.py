"""The kernels are compiled once for the machine at hand, and nothing fails where that cannot be."""

from __future__ import annotations

import os
import shutil

import pytest

from tunewright.core.errors import MachineError
from tunewright.kernels import library


@pytest.fixture
def anew(tmp_path, monkeypatch):
    """An empty cache, and nothing remembered from before."""
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(library.SWITCH, raising=False)
    library._digest.cache_clear()
    return lambda: library._library.__wrapped__()


needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in library.COMPILERS), reason="this machine has no C++ compiler"
)


@needs_compiler
def test_they_are_compiled_once_and_kept(anew, tmp_path, monkeypatch):
    assert library.missing()
    kernels, about = anew()
    assert kernels is not None and about.startswith("compiled ")
    assert not library.missing()
    (kept,) = (tmp_path / "cache" / "kernels").iterdir()
    before = kept.stat().st_mtime_ns

    def never(*_):
        raise AssertionError("compiled a second time")

    monkeypatch.setattr(library, "_compile", never)
    assert anew()[1] == about
    assert kept.stat().st_mtime_ns == before


@needs_compiler
def test_other_sources_or_flags_are_other_kernels(monkeypatch):
    compiler = next(found for name in library.COMPILERS if (found := shutil.which(name)))
    before = library._digest(compiler)
    library._digest.cache_clear()
    monkeypatch.setattr(library, "FLAGS", (*library.FLAGS, "-O2"))
    assert library._digest(compiler) != before


@needs_compiler
def test_a_library_that_others_could_have_written_is_not_opened(anew, tmp_path):
    anew()
    (kept,) = (tmp_path / "cache" / "kernels").iterdir()
    kept.chmod(0o777)
    kernels, about = anew()
    assert kernels is None
    assert "could have been written by others" in about


def test_without_a_compiler_pytorch_computes(anew, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    assert anew() == (None, "none: this machine has no C++ compiler (g++)")


def test_a_compiler_that_fails_is_told_and_leaves_nothing(anew, tmp_path, monkeypatch):
    compiler = tmp_path / "broken"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 1 && exit 0\necho "out of ideas" >&2\nexit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    kernels, about = anew()
    assert kernels is None
    assert "out of ideas" in about
    assert os.listdir(tmp_path / "cache" / "kernels") == []


def test_they_can_be_switched_off(anew, monkeypatch):
    monkeypatch.setenv(library.SWITCH, "off")
    assert anew() == (None, "none: TUNEWRIGHT_KERNELS is off")


def test_a_cache_that_cannot_be_written_costs_only_the_kernels(anew, monkeypatch):
    def full(*_):
        raise MachineError("no space left")

    monkeypatch.setattr(library, "_compile", full)
    kernels, about = anew()
    assert kernels is None
    assert about.startswith("none: ")
