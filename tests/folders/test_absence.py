"""What is away for a while: a share, a file that failed, a result on the server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from imgsvc.folders.placing import DeliveryFolder
from tests.folders.conftest import Hotfolder
from tests.folders.test_service import GARBAGE, known, put
from tests.pictures import make_jpeg
from tests.servers import Running


async def test_a_share_that_is_not_mounted_at_a_start_gets_no_results(
    server: Running, tmp_path: Path
) -> None:
    for name in ("in", "share", "bare"):
        (tmp_path / name).mkdir()
    out = tmp_path / "out"
    out.symlink_to(tmp_path / "share")
    hotfolder = await Hotfolder.open(server, tmp_path)
    put(hotfolder.root / "a.jpg", make_jpeg())
    await hotfolder.work_until_made("a.webp")
    put(hotfolder.root / "b.jpg", make_jpeg(50, 50))
    await hotfolder.take(jobs=2)
    await hotfolder.until_final()
    out.unlink()
    with capture_logs() as logs:
        again = await Hotfolder.open(server, tmp_path)
        await again.deliver()
        out.symlink_to(tmp_path / "bare")
        await again.deliver_again()
    reasons = [line["reason"] for line in logs if line["event"] == "out_folder_waits"]
    assert reasons[0] == "No such file or directory"
    assert reasons[1].startswith("It has no folder .imgsvc")
    assert not list((tmp_path / "bare").iterdir())
    out.unlink()
    out.symlink_to(tmp_path / "share")
    await again.deliver_again()
    assert (out / "b.webp").exists()


async def test_a_share_that_goes_away_while_results_are_put_there_gets_no_more_of_them(
    hotfolder: Hotfolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg())
    await hotfolder.take(jobs=1)
    await hotfolder.until_final()
    check, away = DeliveryFolder.check, hotfolder.out.with_name("away")

    def check_and_unmount(folder: DeliveryFolder) -> None:
        check(folder)
        if not away.exists():
            hotfolder.out.rename(away)
            hotfolder.out.mkdir()

    monkeypatch.setattr(DeliveryFolder, "check", check_and_unmount)
    await hotfolder.deliver()
    assert not list(hotfolder.out.iterdir())
    hotfolder.out.rmdir()
    away.rename(hotfolder.out)
    monkeypatch.undo()
    await hotfolder.deliver_again()
    assert (hotfolder.out / "a.webp").exists()


async def test_a_result_is_not_delivered_where_the_share_went_away_before_it_was_put_there(
    hotfolder: Hotfolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg())
    await hotfolder.take(jobs=1)
    await hotfolder.until_final()
    place, away = DeliveryFolder.place, hotfolder.out.with_name("away")

    def unmount_and_place(folder: DeliveryFolder, *files: Any) -> None:
        hotfolder.out.rename(away)
        hotfolder.out.mkdir()
        place(folder, *files)

    with monkeypatch.context() as patch:
        patch.setattr(DeliveryFolder, "place", unmount_and_place)
        await hotfolder.deliver()
    shutil.rmtree(hotfolder.out)
    away.rename(hotfolder.out)
    await hotfolder.deliver_again()
    assert (hotfolder.out / "a.webp").exists()


async def test_what_stood_in_a_share_that_is_away_is_not_forgotten(hotfolder: Hotfolder) -> None:
    for name in ("gone", "kept"):
        put(hotfolder.root / f"{name}.jpg", make_jpeg())
    await hotfolder.work_until_made("gone.webp", "kept.webp")
    (hotfolder.root / "gone.jpg").unlink()
    hotfolder.out.rename(hotfolder.out.with_name("away"))
    hotfolder.out.mkdir()
    await hotfolder.service.tidy_once()
    assert await known(hotfolder) == ["gone.jpg", "kept.jpg"]


async def test_what_failed_stays_listed_while_its_folder_may_not_be_mounted(
    hotfolder: Hotfolder, server: Running, tmp_path: Path
) -> None:
    put(hotfolder.root / "bad.jpg", GARBAGE)
    await hotfolder.work(hotfolder.failures)
    listed = hotfolder.failures()
    hotfolder.root.rename(tmp_path / "away")
    hotfolder.root.mkdir()
    again = await Hotfolder.open(server, tmp_path)
    await again.service.run_once()
    assert again.failures() == listed


async def test_what_failed_and_was_moved_out_and_back_is_tried_again(
    hotfolder: Hotfolder, tmp_path: Path
) -> None:
    put(hotfolder.root / "bad.jpg", GARBAGE)
    await hotfolder.work(hotfolder.failures)
    (hotfolder.root / "bad.jpg").rename(tmp_path / "away.jpg")
    hotfolder.service._delivery._list_due_s = 0
    await hotfolder.deliver()
    assert not hotfolder.failures()
    (tmp_path / "away.jpg").rename(hotfolder.root / "bad.jpg")
    await hotfolder.work(hotfolder.failures)
    assert len(await hotfolder.jobs()) == 2


async def test_a_result_that_is_missing_from_the_data_is_waited_for_and_named_once(
    hotfolder: Hotfolder,
) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg())
    await hotfolder.take(jobs=1)
    await hotfolder.until_final()
    (job,) = await hotfolder.jobs()
    made = hotfolder.server.core.settings.storage.data_dir / "jobs" / job["id"] / "out"
    made.rename(made.with_name("away"))
    with capture_logs() as logs:
        for _ in range(2):
            await hotfolder.deliver()
            later = hotfolder.service._delivery._later
            hotfolder.service._delivery._later = dict.fromkeys(later, 0.0)
    assert [log["name"] for log in logs if log["event"] == "result_waits"] == ["a.jpg"]
    made.with_name("away").rename(made)
    await hotfolder.deliver()
    assert (hotfolder.out / "a.webp").exists()
