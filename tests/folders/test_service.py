from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image
from structlog.testing import capture_logs

from imgsvc.config import FolderSettings
from imgsvc.domain.times import now_ms
from imgsvc.errors import StartError
from tests.folders.conftest import Hotfolder, rest
from tests.folders.moody import fail_at_first, hang
from tests.pictures import make_jpeg, make_png
from tests.servers import Running, get_json, make_settings, running_server, spoil_outputs

GARBAGE = b"this was never an image, whatever it is called " * 4


def put(path: Path, content: bytes) -> None:
    """Moved in whole, as a careful program does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.new")
    part.write_bytes(content)
    part.replace(path)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(io.BytesIO(path.read_bytes())) as picture:
        return picture.size


async def test_results_stand_where_their_inputs_did(hotfolder: Hotfolder) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg(100, 80))
    put(hotfolder.root / "2024" / "May" / "b.png", make_png(60, 90))
    await hotfolder.work_until_made("a.webp", "2024/May/b.webp")
    assert size_of(hotfolder.out / "a.webp") == (100, 80)
    assert size_of(hotfolder.out / "2024" / "May" / "b.webp") == (60, 90)
    (job,) = await hotfolder.jobs()
    assert (job["source"], job["label"], job["preset"]) == ("watch", "in", "thumbnail")
    assert sorted(path.name for path in hotfolder.out.rglob("*.*") if path.is_file()) == [
        "a.webp", "b.webp",
    ]  # fmt: skip


async def test_a_result_is_a_file_of_its_own(hotfolder: Hotfolder) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg())
    await hotfolder.work_until_made("a.webp")
    assert (hotfolder.out / "a.webp").stat().st_nlink == 1


async def test_what_is_overwritten_is_made_again_and_takes_the_place(hotfolder: Hotfolder) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg(100, 80))
    await hotfolder.work_until_made("a.webp")
    put(hotfolder.root / "a.jpg", make_jpeg(50, 80))
    await hotfolder.work(lambda: size_of(hotfolder.out / "a.webp") == (50, 80))
    assert len(await hotfolder.jobs()) == 2


async def test_the_same_bytes_with_another_time_are_not_made_again(hotfolder: Hotfolder) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg())
    await hotfolder.work_until_made("a.webp")
    os.utime(hotfolder.root / "a.jpg", (1, 1))
    put(hotfolder.root / "b.jpg", make_jpeg(50, 50))
    await hotfolder.work_until_made("b.webp")
    assert [job["total"] for job in await hotfolder.jobs()] == [1, 1]


async def test_an_older_result_never_takes_the_place_of_a_newer_one(hotfolder: Hotfolder) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg(100, 80))
    await hotfolder.take(jobs=1)
    put(hotfolder.root / "a.jpg", make_jpeg(50, 80))
    await hotfolder.take(jobs=2)
    await hotfolder.until_final()
    await hotfolder.deliver()
    assert size_of(hotfolder.out / "a.webp") == (50, 80)


async def test_a_removed_or_moved_input_leaves_its_result(hotfolder: Hotfolder) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg())
    await hotfolder.work_until_made("a.webp")
    (hotfolder.root / "a.jpg").rename(hotfolder.root / "b.jpg")
    await hotfolder.work_until_made("b.webp")
    assert (hotfolder.out / "a.webp").exists()
    image = (await get_json(hotfolder.server, "/api/v1/images"))["items"][0]
    assert image["outputs"][0]["reused"]


async def known(hotfolder: Hotfolder) -> list[str]:
    """Names of files that are remembered, and known as they look."""
    pages = hotfolder.server.core.store.folders.iter_files(str(hotfolder.root))
    names = [file.name for files in [page async for page in pages] for file in files]
    assert set(hotfolder.service._known) == set(names)
    return names


async def test_a_file_that_is_gone_with_its_results_is_forgotten(hotfolder: Hotfolder) -> None:
    for name in ("gone", "kept", "result", "failed"):
        put(hotfolder.root / f"{name}.jpg", GARBAGE if name == "failed" else make_jpeg())
    await hotfolder.work_until_made("gone.webp", "kept.webp", "result.webp", "failures.csv")
    for path in ("in/gone.jpg", "out/gone.webp", "in/result.jpg", "out/kept.webp"):
        (hotfolder.root.parent / path).unlink()
    await hotfolder.service.tidy_once()
    assert await known(hotfolder) == ["failed.jpg", "kept.jpg", "result.jpg"]
    put(hotfolder.root / "gone.png", make_png(50, 80))
    await hotfolder.work_until_made("gone.webp")


async def test_nothing_is_forgotten_while_a_folder_may_not_be_mounted(
    hotfolder: Hotfolder, server: Running
) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg())
    await hotfolder.work_until_made("a.webp")
    for folder in (hotfolder.root, hotfolder.out):
        folder.rename(folder.with_name("away"))
        await hotfolder.service.tidy_once()
        assert await known(hotfolder) == ["a.jpg"]
        folder.with_name("away").rename(folder)
    (hotfolder.root / "a.jpg").unlink()
    (hotfolder.out / "a.webp").unlink()
    later = await Hotfolder.open(server, hotfolder.root.parent)
    await later.service.run_once()
    await later.service.tidy_once()
    assert await known(later) == ["a.jpg"]


async def test_a_newcomer_takes_nobodys_name(hotfolder: Hotfolder) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg(100, 80))
    await hotfolder.work_until_made("a.webp")
    put(hotfolder.root / "a.png", make_png(50, 80))
    await hotfolder.work_until_made("a.png.webp")
    assert size_of(hotfolder.out / "a.webp") == (100, 80)


async def test_what_fails_is_listed_until_it_is_put_right(hotfolder: Hotfolder) -> None:
    put(hotfolder.root / "=bad.jpg", GARBAGE)
    put(hotfolder.root / "good.jpg", make_jpeg())
    await hotfolder.work_until_made("good.webp", "failures.csv")
    (line,) = hotfolder.failures()
    assert line.startswith("'=bad.jpg,unsupported_format,")
    put(hotfolder.root / "=bad.jpg", make_jpeg(70, 70))
    await hotfolder.work(lambda: not hotfolder.failures())
    await hotfolder.work_until_made("=bad.webp")
    assert not (hotfolder.out / "failures.csv").exists()


async def test_records_that_do_not_fit_the_recipe_end_their_own_image_alone(
    hotfolder: Hotfolder,
) -> None:
    put(hotfolder.root / "good.jpg", make_jpeg(60, 40))
    put(hotfolder.root / "odd.jpg", make_jpeg(50, 40))
    await hotfolder.take(jobs=1)
    await hotfolder.until_final()
    (job,) = await hotfolder.jobs()
    await spoil_outputs(hotfolder.server, job["id"], "odd.jpg")
    await hotfolder.deliver()
    assert (hotfolder.out / "good.webp").exists()
    (line,) = hotfolder.failures()
    assert line.startswith("odd.jpg,internal,")


async def test_what_failed_and_was_taken_away_is_listed_no_more(hotfolder: Hotfolder) -> None:
    put(hotfolder.root / "bad.jpg", GARBAGE)
    await hotfolder.work(hotfolder.failures)
    (hotfolder.root / "bad.jpg").unlink()
    hotfolder.service._delivery._list_due_s = 0
    await hotfolder.deliver()
    assert not hotfolder.failures()
    put(hotfolder.root / "bad.jpg", GARBAGE)
    await hotfolder.work(hotfolder.failures)


async def test_touching_what_failed_tries_it_again(hotfolder: Hotfolder) -> None:
    put(hotfolder.root / "bad.jpg", GARBAGE)
    await hotfolder.work(hotfolder.failures)
    os.utime(hotfolder.root / "bad.jpg", (1, 1))
    await hotfolder.take(jobs=2)


async def test_an_image_that_is_retried_by_hand_is_delivered(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    async with running_server(make_settings(tmp_path / "data"), fail_at_first) as server:
        hotfolder = await Hotfolder.open(server, tmp_path)
        put(hotfolder.root / "a.jpg", make_jpeg())
        await hotfolder.work(hotfolder.failures)
        (job,) = await hotfolder.jobs()
        async with server.http.post(f"/api/v1/jobs/{job['id']}/retry") as answer:
            assert answer.status == 200
        await hotfolder.work_until_made("a.webp")
        await hotfolder.work(lambda: not hotfolder.failures())


async def test_a_cancelled_job_is_listed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    settings = make_settings(tmp_path / "data", server={"shutdown_grace_s": 0})
    async with running_server(settings, hang) as server:
        hotfolder = await Hotfolder.open(server, tmp_path)
        put(hotfolder.root / "a.jpg", make_jpeg())
        await hotfolder.take(jobs=1)
        (job,) = await hotfolder.jobs()
        async with server.http.post(f"/api/v1/jobs/{job['id']}/cancel") as answer:
            assert (await answer.json())["status"] == "cancelled"
        await hotfolder.deliver()
        assert hotfolder.failures()[0].startswith("a.jpg,cancelled,The job was cancelled.")


async def test_a_job_that_was_deleted_is_not_forgotten(hotfolder: Hotfolder) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg())
    await hotfolder.take(jobs=1)
    (job,) = await hotfolder.jobs()
    async with hotfolder.server.http.delete(f"/api/v1/jobs/{job['id']}") as answer:
        assert answer.status == 204
    await hotfolder.deliver()
    assert hotfolder.failures()[0].startswith("a.jpg,cancelled,The job was deleted.")


async def test_started_again_it_neither_repeats_nor_forgets(
    hotfolder: Hotfolder, tmp_path: Path
) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg())
    put(hotfolder.root / "bad.jpg", GARBAGE)
    await hotfolder.work_until_made("a.webp")
    await hotfolder.work(hotfolder.failures)
    put(hotfolder.root / "b.jpg", make_jpeg(50, 50))
    await hotfolder.take(jobs=2)
    await hotfolder.until_final()
    again = await Hotfolder.open(hotfolder.server, tmp_path)
    put(hotfolder.root / "a.png", make_png())
    await again.work_until_made("b.webp", "a.png.webp")
    assert [job["total"] for job in await again.jobs()] == [1, 1, 2]


async def test_results_wait_for_their_folder_and_their_job_waits_for_them(
    hotfolder: Hotfolder, tmp_path: Path
) -> None:
    put(hotfolder.root / "a.jpg", make_jpeg())
    await hotfolder.work_until_made("a.webp")
    hotfolder.out.rename(tmp_path / "away")
    put(hotfolder.root / "b.jpg", make_jpeg(50, 50))
    await hotfolder.take(jobs=2)
    await hotfolder.until_final()
    await hotfolder.deliver()
    assert not hotfolder.out.exists()
    store, much_later = hotfolder.server.core.store, now_ms() + 10**10
    newest, oldest = (job["id"] for job in await hotfolder.jobs())
    assert await store.expired_jobs(much_later, 10) == [oldest]
    assert not await store.delete_job(newest, expired_at_ms=much_later)
    (tmp_path / "away").rename(hotfolder.out)
    hotfolder.service._delivery._waits_until_s = 0
    await hotfolder.work_until_made("b.webp")
    assert len(await store.expired_jobs(much_later, 10)) == 2


async def test_what_stands_in_one_results_way_holds_up_no_other(hotfolder: Hotfolder) -> None:
    (hotfolder.out / "a.webp").mkdir(parents=True)
    put(hotfolder.root / "a.jpg", make_jpeg())
    put(hotfolder.root / "b.jpg", make_jpeg(50, 50))
    await hotfolder.work_until_made("b.webp")
    (hotfolder.out / "a.webp").rmdir()
    hotfolder.service._delivery._later = dict.fromkeys(hotfolder.service._delivery._later, 0.0)
    await hotfolder.work(lambda: (hotfolder.out / "a.webp").is_file())


async def test_a_linked_folder_leads_no_result_out_and_holds_up_no_other(
    hotfolder: Hotfolder, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    hotfolder.out.mkdir(exist_ok=True)
    (hotfolder.out / "trip").symlink_to(tmp_path / "elsewhere")
    put(hotfolder.root / "trip" / "a.jpg", make_jpeg())
    put(hotfolder.root / "b.jpg", make_jpeg(50, 50))
    await hotfolder.work_until_made("b.webp")
    await hotfolder.work(lambda: hotfolder.service._delivery._later)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (hotfolder.out / "trip").unlink()
    hotfolder.service._delivery._later = dict.fromkeys(hotfolder.service._delivery._later, 0.0)
    await hotfolder.work_until_made("trip/a.webp")


async def test_somebodys_own_list_of_failures_is_left_alone(hotfolder: Hotfolder) -> None:
    hotfolder.out.mkdir(exist_ok=True)
    (hotfolder.out / "failures.csv").write_text("my own list")
    put(hotfolder.root / "bad.jpg", GARBAGE)
    await hotfolder.work(lambda: not hotfolder.service._delivery._is_list_written)
    put(hotfolder.root / "good.jpg", make_jpeg())
    await hotfolder.work_until_made("good.webp")
    assert (hotfolder.out / "failures.csv").read_text() == "my own list"


async def test_a_full_queue_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", limits={"max_pending_images": 2})
    (tmp_path / "in").mkdir()
    names = [f"{number}.jpg" for number in range(7)]
    async with running_server(settings) as server:
        hotfolder = await Hotfolder.open(server, tmp_path)
        for number, name in enumerate(names):
            put(hotfolder.root / name, make_jpeg(50 + number, 50))
        await hotfolder.work_until_made(*(name.replace("jpg", "webp") for name in names))
        assert sum(job["total"] for job in await hotfolder.jobs()) == 7


async def test_a_job_takes_no_more_files_than_a_job_may_have(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", limits={"max_images_per_job": 2})
    (tmp_path / "in").mkdir()
    async with running_server(settings) as server:
        hotfolder = await Hotfolder.open(server, tmp_path)
        for number in range(5):
            put(hotfolder.root / f"{number}.jpg", make_jpeg(50 + number, 50))
        await hotfolder.work_until_made(*(f"{number}.webp" for number in range(5)))
        assert max(job["total"] for job in await hotfolder.jobs()) == 2


async def test_a_file_that_is_too_large_is_not_even_read(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", limits={"max_image_bytes": 100})
    (tmp_path / "in").mkdir()
    async with running_server(settings) as server:
        hotfolder = await Hotfolder.open(server, tmp_path)
        put(hotfolder.root / "a.jpg", make_jpeg())
        await hotfolder.work(hotfolder.failures)
        assert hotfolder.failures()[0].startswith("a.jpg,too_many_bytes,")


async def test_without_an_output_folder_the_results_stay_on_the_server(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    folder = FolderSettings(path=tmp_path / "in", preset="thumbnail")
    async with running_server(make_settings(tmp_path / "data", [folder])) as server:
        put(tmp_path / "in" / "a.jpg", make_jpeg())
        jobs: list[str] = []
        while jobs != ["completed"]:
            found = (await get_json(server, "/api/v1/jobs"))["items"]
            jobs = [job["status"] for job in found]
            await rest()
        while await server.core.store.folders.taken_files(str(tmp_path / "in")):
            await rest()
        assert await server.core.store.expired_jobs(now_ms() + 10**10, 10) == [found[0]["id"]]


async def test_a_server_watches_the_folders_of_its_settings(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.jpg", make_jpeg())
    folder = FolderSettings(path=tmp_path / "in", out=tmp_path / "in" / "made", preset="thumbnail")
    async with running_server(make_settings(tmp_path / "data", [folder])):
        while not (tmp_path / "in" / "made" / "a.webp").exists():
            await rest()
        put(tmp_path / "in" / "d" / "b.jpg", make_jpeg(50, 50))
        while not (tmp_path / "in" / "made" / "d" / "b.webp").exists():
            await rest()


async def test_a_folder_that_left_the_settings_keeps_no_job(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    async with running_server(make_settings(tmp_path / "data")) as server:
        hotfolder = await Hotfolder.open(server, tmp_path)
        put(hotfolder.root / "a.jpg", make_jpeg())
        await hotfolder.take(jobs=1)
        await hotfolder.until_final()
        much_later = now_ms() + 10**10
        assert await server.core.store.expired_jobs(much_later, 10) == []
    async with running_server(make_settings(tmp_path / "data")) as server:
        assert len(await server.core.store.expired_jobs(much_later, 10)) == 1


async def test_a_preset_that_does_not_exist_stops_the_start(tmp_path: Path) -> None:
    folder = FolderSettings(path=tmp_path / "in", preset="absent")
    with pytest.raises(StartError, match=r"folders\.0\.preset"):
        async with running_server(make_settings(tmp_path / "data", [folder])):
            pass


async def test_a_folder_of_results_is_left_alone_and_the_others_are_watched(tmp_path: Path) -> None:
    marked, plain = tmp_path / "marked", tmp_path / "plain"
    (marked / ".imgsvc").mkdir(parents=True)
    put(marked / "a.jpg", make_jpeg())
    put(plain / "a.jpg", make_jpeg())
    out = tmp_path / "out"
    folders = [FolderSettings(path=path, out=out / path.name) for path in (marked, plain)]
    with capture_logs() as logs:
        async with running_server(make_settings(tmp_path / "data", folders)):
            while not (out / "plain").exists():
                await rest()
    told = [(one["event"], one["folder"]) for one in logs if "folder" in one]
    assert told == [("folder_has_results", str(marked)), ("watching", str(plain))]
    assert not (out / "marked").exists()
