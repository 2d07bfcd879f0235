"""What is away for a while: a share, a file that failed, a result on the server."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from tests.folders.conftest import Hotfolder
from tests.folders.test_service import GARBAGE, put
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
