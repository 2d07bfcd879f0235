"""Parcels: what goes through a pipe between parent and child, kept small.

A child that is killed while it writes more than PIPE_BUF bytes can leave half a message,
and its reader waits for the rest for ever. What is larger goes through a file that both
sides know, and the pipe carries None.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

CALL_BYTES = 16_000
"""Largest call: two of them find room in any pipe (64 KiB), so the parent never waits."""

REPORT_BYTES = 3_800
"""Largest report: with its envelope it is under PIPE_BUF (4096) and written in one piece."""


def pack(content: object, max_bytes: int, spill: Path) -> bytes | None:
    """The parcel for `content`; None when it went into `spill` instead."""
    return ship(pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL), max_bytes, spill)


def ship(data: bytes, max_bytes: int, spill: Path) -> bytes | None:
    """What goes through the pipe; None when the data went into `spill` instead."""
    if len(data) <= max_bytes:
        return data
    spill.write_bytes(data)
    return None


def unpack(parcel: bytes | None, spill: Path) -> Any:
    """The content of a call; removes `spill` if it went that way."""
    if parcel is None:
        parcel = spill.read_bytes()
        spill.unlink()
    return pickle.loads(parcel)  # noqa: S301 - the parent is trusted
