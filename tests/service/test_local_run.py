"""A run without a server, several batches of it side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from imgsvc.cli.run_wish import Wish
from imgsvc.recipes.validation import parse_recipe
from imgsvc.runtime.core import Core, open_core
from imgsvc.service.local_plan import LocalInput, LocalWatermark
from imgsvc.service.local_run import LocalRun
from imgsvc.service.watermarks import Watermarks
from tests.pictures import make_png
from tests.servers import make_settings

RECIPE = {"variants": [{"name": "v", "format": "png", "watermark": {"preset_image": "logo"}}]}


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    async with open_core(make_settings(tmp_path / "out" / ".imgsvc")) as core:
        yield core


async def make(local: LocalRun, path: Path) -> list[str]:
    facts = path.stat()
    item = LocalInput(path.name, path, facts.st_size, facts.st_mtime_ns)
    made: list[str] = []
    async with aclosing(local.make([(0, item)], lambda *_: f"{path.stem}.png")) as rounds:
        async for each in rounds:
            made += [file.target for one in each for file in one.files]
    return made


async def test_batches_that_begin_together_share_one_watermark(
    core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("logo.png", "a.png", "b.png"):
        (tmp_path / name).write_bytes(make_png(20, 20))
    saved: list[str] = []
    save = Watermarks.save

    async def save_and_note(self: Watermarks, name: str, path: Path) -> object:
        saved.append(name)
        return await save(self, name, path)

    monkeypatch.setattr(Watermarks, "save", save_and_note)
    marks = {"logo": LocalWatermark(tmp_path / "logo.png", "0" * 64)}
    local = Wish(tmp_path / "out", parse_recipe(RECIPE), None, marks).open_run(core)
    await local.begin()
    a_path, b_path = tmp_path / "a.png", tmp_path / "b.png"
    a_made, b_made = await asyncio.gather(make(local, a_path), make(local, b_path))
    await local.end()
    assert (a_made, b_made) == (["a.png"], ["b.png"])
    assert saved == ["logo"]
