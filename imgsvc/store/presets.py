"""Own presets: recipes that somebody has given a name."""

from __future__ import annotations

import sqlite3

from imgsvc.domain.preset import Preset
from imgsvc.errors import InvalidRequest
from imgsvc.store.sql import PRESETS
from imgsvc.store.writer import Transaction


async def save_preset(tx: Transaction, preset: Preset, most: int) -> bool:
    """Keep a preset, in the place of the one of that name; whether there was none.

    most: how many there may be. Raises InvalidRequest when a new one would be one too many.
    """
    parameters = {
        "name": preset.name,
        "recipe": preset.recipe,
        "updated_at": preset.updated_at,
    }
    if await tx.fetch(PRESETS["replace_preset"], parameters):
        return False
    if await tx.fetch(PRESETS["insert_preset"], {**parameters, "most": most}):
        return True
    raise InvalidRequest(f"There are {most} own presets, and no more are kept: delete one first.")


async def delete_preset(tx: Transaction, name: str) -> bool:
    """False when there was none."""
    return bool(await tx.fetch(PRESETS["delete_preset"], {"name": name}))


def preset_from_row(row: sqlite3.Row) -> Preset:
    return Preset(row["name"], row["recipe"], row["updated_at"])
