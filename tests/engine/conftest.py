"""Runs that end too early."""

from __future__ import annotations

from contextlib import contextmanager

import pytest


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture
def killed_at_save(monkeypatch):
    """`with killed_at_save(3): …` trains until the third checkpoint would be written, and stops dead there."""
    from tunewright.training import checkpoint

    @contextmanager
    def killed(number: int):
        kept, saves = checkpoint.save, []

        def dying(*arguments):
            saves.append(1)
            if len(saves) == number:
                raise Killed
            return kept(*arguments)

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(checkpoint, "save", dying)
            yield

    return killed
