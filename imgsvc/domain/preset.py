"""A preset: a recipe with a name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """recipe: canonical JSON, as the version wrote it that saved it.
    updated_at: milliseconds since 1970; None for one that comes with the program.
    """

    name: str
    recipe: str
    updated_at: int | None

    @property
    def readonly(self) -> bool:
        return self.updated_at is None
