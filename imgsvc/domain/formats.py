"""What an installation reads and writes: asked of a worker, since plug-ins come and go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Formats:
    """Names of formats, each in order."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
