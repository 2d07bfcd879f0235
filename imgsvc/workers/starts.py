"""How patient a slot is with processes that do not come to life."""

from __future__ import annotations

import os

MAX_FAILED = 3
"""Processes that died before they were warm, one after the other; one more would die too."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 30.0
"""Between starts that fail: the machine may be short of processes or memory for a while."""

REFUSED_PAUSE_S = 2.0
"""The longest when it is the system that has no room, which may have some at any moment."""


def pause_s(failed: int, *, was_refused: bool) -> float:
    """What to wait after so many failures in a row, longer each time."""
    longest_s = REFUSED_PAUSE_S if was_refused else LONGEST_PAUSE_S
    return min(FIRST_PAUSE_S * 4.0 ** min(failed - 1, 10), longest_s)


def is_hopeless(failed: int, *, was_refused: bool) -> bool:
    """Whether another try will end as the last one did; that the system has no room passes."""
    return failed >= MAX_FAILED and not was_refused


def explain(failed: int, executable: str) -> str:
    """Why no more are started after so many failures. executable: what a worker runs in; nobody
    else says so where it cannot.
    """
    if not os.access(executable, os.X_OK):
        return (
            f"No worker can be started: {executable} is not there, or this user may not execute it."
        )
    return (
        f"Worker processes died {failed} times in a row while they started; the log holds what "
        "they said."
    )
