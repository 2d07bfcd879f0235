"""Own presets in the database."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from imgsvc.domain.preset import Preset
from imgsvc.errors import InvalidRequest
from imgsvc.store.store import Store

RECIPE = '{"variants":[{"name":"v"}]}'


def preset(name: str, recipe: str = RECIPE, updated_at: int = 1) -> Preset:
    return Preset(name, recipe, updated_at)


async def test_a_preset_is_kept_across_a_restart(database: Path) -> None:
    store = await Store.open(database)
    assert await store.save_preset(preset("mine"), most=9) is True
    await store.close()
    store = await Store.open(database)
    assert await store.preset("mine") == preset("mine")
    await store.close()


async def test_a_preset_saved_again_takes_the_place_of_the_first(store: Store) -> None:
    await store.save_preset(preset("mine"), most=9)
    newer = preset("mine", '{"variants":[{"name":"w"}]}', 2)
    assert await store.save_preset(newer, most=9) is False
    assert await store.presets() == [newer]


async def test_presets_are_listed_by_name(store: Store) -> None:
    for name in ("b", "a-2", "a_1", "a"):
        await store.save_preset(preset(name), most=9)
    assert [found.name for found in await store.presets()] == ["a", "a-2", "a_1", "b"]


async def test_a_deleted_preset_is_gone_and_cannot_be_deleted_again(store: Store) -> None:
    await store.save_preset(preset("mine"), most=9)
    assert await store.delete_preset("mine") is True
    assert await store.preset("mine") is None
    assert await store.delete_preset("mine") is False


async def test_a_full_store_takes_changes_but_no_new_preset(store: Store) -> None:
    saves = [store.save_preset(preset(f"p{n}"), most=3) for n in range(5)]
    ended = await asyncio.gather(*saves, return_exceptions=True)
    assert ended[:3] == [True, True, True]
    assert all(isinstance(exc, InvalidRequest) for exc in ended[3:])
    assert await store.save_preset(preset("p0", updated_at=7), most=3) is False
    await store.delete_preset("p1")
    assert await store.save_preset(preset("p9"), most=3) is True


@pytest.mark.parametrize(
    ("name", "recipe"), [("", RECIPE), ("x" * 41, RECIPE), ("mine", "{"), (None, RECIPE)]
)
async def test_the_table_refuses_a_preset_against_the_rules(
    store: Store, database: Path, name: str | None, recipe: str
) -> None:
    with closing(sqlite3.connect(database)) as raw, pytest.raises(sqlite3.IntegrityError):
        raw.execute("INSERT INTO presets VALUES (?, ?, 1)", (name, recipe))
