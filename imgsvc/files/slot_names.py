"""What the folders of a slot are called: its number, and the same with an end for its inputs."""

from __future__ import annotations

INPUTS = ".in"


def is_slot(name: str) -> bool:
    """Whether a folder of this name is one of a slot's two."""
    return name.removesuffix(INPUTS).isdecimal()
