"""What killed servers have left in an output folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from imgsvc.config import FolderSettings
from imgsvc.files import places
from tests.folders.conftest import Hotfolder, rest
from tests.folders.test_service import put
from tests.killed_writers import leave_part
from tests.pictures import make_jpeg
from tests.servers import make_settings, running_server


async def test_a_start_sweeps_what_killed_servers_have_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "in" / "trip" / "a.jpg", make_jpeg())
    out = tmp_path / "out"
    folder = FolderSettings(path=tmp_path / "in", out=out, preset="thumbnail")
    settings = make_settings(tmp_path / "data", [folder])
    async with running_server(settings):
        while not (out / "trip" / "a.webp").exists():
            await rest()
    parts = [
        await asyncio.to_thread(leave_part, out, target)
        for target in ("trip/a.webp", "failures.csv", ".imgsvc/server")
    ]
    monkeypatch.setattr(places, "ABANDONED_S", -60)
    async with running_server(settings), asyncio.timeout(60):
        while any(part.exists() for part in parts):
            await rest()
    assert (out / "trip" / "a.webp").exists()


async def test_an_out_folder_that_is_away_or_anothers_is_swept_when_it_is_back(
    hotfolder: Hotfolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg())
    await hotfolder.work_until_made("a.webp")
    out, delivery = hotfolder.out, hotfolder.service._delivery
    part = await asyncio.to_thread(leave_part, out, "a.webp")
    monkeypatch.setattr(places, "ABANDONED_S", -60)
    out.rename(out.with_name("away"))
    assert not await delivery.sweep()
    out.with_name("away").rename(out)
    token = (out / ".imgsvc" / "server").read_bytes()
    (out / ".imgsvc" / "server").write_bytes(b"another's")
    assert not await delivery.sweep()
    assert part.exists()
    (out / ".imgsvc" / "server").write_bytes(token)
    assert await delivery.sweep()
    assert not part.exists()
