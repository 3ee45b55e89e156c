"""How closely answers are watched."""

from __future__ import annotations

from dataclasses import dataclass

PAUSE = 3600.0  # seconds after an alert in which a model raises no further one


@dataclass(frozen=True)
class Watching:
    """How closely answers are watched."""

    window: int = 500  # answers that are compared with what is usual: fewer react sooner, more see less
    looks: int = 5  # times that a window is looked at while it is exchanged: a sudden change is seen before it is full
    level: float = 0.03  # how often, by chance, a window of unchanged answers raises an alarm, at most
