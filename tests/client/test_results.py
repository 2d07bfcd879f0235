"""Results of a watch: those of jobs that are lost, and missing ones brought back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from imgsvc.client import BytesUpload, Client, LocalFileError, ServerUnreachable
from imgsvc.client.patience import Persistence
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.out_folder import OutFolder
from imgsvc.client.watching.results import Results
from imgsvc.folders.scan import Sighting
from tests.client.pictures import picture
from tests.server_process import ServerProcess

NAMES = ["a", "b", "c"]

GONE = "01936f00-0000-7000-8000-000000000000"
"""A job that no server has."""


def pass_over(*_: object) -> None:
    pass


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def journal(out: Path) -> Iterator[WatchJournal]:
    with WatchJournal(out / ".imgsvc" / "watch.jsonl") as journal:
        journal.begin("/in")
        journal.loss = "first"
        yield journal


@pytest.fixture
def results(client: Client, journal: WatchJournal, out: Path) -> Results:
    patience, disk = Persistence(pass_over, pass_over), Disk(pass_over, lambda: None)
    folder = OutFolder(out, journal, [("thumbnail", "webp")])
    folder.choose_at_start(f"{name}.png" for name in NAMES)
    return Results(client, journal, patience, disk, folder, pass_over)


async def finish_job(
    client: Client, journal: WatchJournal, tmp_path: Path, batch: str = "1"
) -> str:
    """Every file of it is done by the journal, and none of its results stands; the job's id."""
    files = [tmp_path / f"{name}.png" for name in NAMES]
    for file in files:
        await asyncio.to_thread(file.write_bytes, picture("red"))
    job = await client.submit(files, preset="thumbnail")
    await client.wait(job["id"])
    await asyncio.to_thread(note_all_sent, journal, job["id"], batch)
    for name in NAMES:
        saved = [("thumbnail", "webp", f"{name}.webp")]
        await asyncio.to_thread(journal.note_done, batch, f"{name}.png", saved)
    return str(job["id"])


def note_all_sent(
    journal: WatchJournal, job_id: str, batch: str = "1", names: Sequence[str] = NAMES
) -> None:
    sightings = [Sighting(f"{name}.png", "/in", 1, 2, 3) for name in names]
    journal.note_batch(batch, "r", {}, sightings, {one.name: "[]" for one in sightings})
    journal.note_job(batch, job_id, [(i, f"{name}.png", "ab") for i, name in enumerate(names)])


def make_anew(out: Path) -> None:
    shutil.rmtree(out)
    out.mkdir()


def standing(out: Path) -> set[str]:
    return {path.stem for path in out.glob("*.webp")}


def after(
    client: Client, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[], Awaitable[object]]
) -> None:
    """Meddle once the first result stands again."""
    save = client.save_outputs
    saved: list[object] = []

    async def save_and_meddle(*arguments: Any) -> object:
        done = await save(*arguments)
        if not saved:
            await meddle()
        saved.append(done)
        return done

    monkeypatch.setattr(client, "save_outputs", save_and_meddle)


async def test_what_vanishes_meanwhile_is_not_lost_but_looked_for_again(
    client: Client,
    journal: WatchJournal,
    results: Results,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await finish_job(client, journal, tmp_path)
    await asyncio.to_thread((out / "c.webp").touch)

    async def remove() -> None:
        for name in ("a.webp", "c.webp"):
            await asyncio.to_thread((out / name).unlink)

    after(client, monkeypatch, remove)
    await results.restore()
    assert (journal.loss, await asyncio.to_thread(standing, out)) == ("first", {"b"})
    await results.restore()
    assert (journal.loss, await asyncio.to_thread(standing, out)) == ("first", {"b", "c"})
    await results.restore()  # what was brought back once may be taken away
    assert (journal.loss, await asyncio.to_thread(standing, out)) == (None, {"b", "c"})
    assert all(entry.files for entry in journal.entries.values())


async def test_only_what_the_server_was_asked_for_and_lacks_is_lost(
    client: Client, journal: WatchJournal, results: Results, out: Path, tmp_path: Path
) -> None:
    job_id = await finish_job(client, journal, tmp_path)
    await asyncio.to_thread((out / "b.webp").touch)
    await client.delete(job_id)
    await results.restore()
    assert journal.loss is None
    assert {name: bool(entry.files) for name, entry in journal.entries.items()} == {
        "a.png": False,
        "b.png": True,
        "c.png": False,
    }


async def test_what_was_saved_since_the_loss_is_not_brought_back(
    client: Client, journal: WatchJournal, results: Results, out: Path, tmp_path: Path
) -> None:
    """Somebody takes it away while older ones come back."""
    await finish_job(client, journal, tmp_path)
    await results.restore()
    job_id = await finish_job(client, journal, tmp_path, batch="2")
    for name in NAMES:
        await asyncio.to_thread((out / f"{name}.webp").unlink)
    await results.restore()
    assert (journal.loss, await asyncio.to_thread(standing, out)) == (None, set())
    assert {(entry.job_id, len(entry.files)) for entry in journal.entries.values()} == {(job_id, 1)}


async def test_what_was_brought_back_is_brought_back_after_the_next_loss_too(
    client: Client, journal: WatchJournal, results: Results, out: Path, tmp_path: Path
) -> None:
    await finish_job(client, journal, tmp_path)
    for _ in range(2):
        await results.restore()
        assert await asyncio.to_thread(standing, out) == set(NAMES)
        await asyncio.to_thread(make_anew, out)
        await asyncio.to_thread(journal.write_anew)


async def test_a_folder_that_is_lost_while_it_is_filled_is_filled_again(
    client: Client,
    journal: WatchJournal,
    results: Results,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where nothing that was missing before is found."""
    await finish_job(client, journal, tmp_path)
    for name in NAMES:
        await asyncio.to_thread((out / f"{name}.webp").touch)
    await asyncio.to_thread(note_all_sent, journal, GONE, "gone", ["x"])
    await asyncio.to_thread(journal.note_done, "gone", "x.png", [("thumbnail", "webp", "x.webp")])
    images = client.images

    async def lose_all(job_id: str) -> AsyncIterator[Any]:
        if job_id == GONE:
            await asyncio.to_thread(make_anew, out)
            await asyncio.to_thread(journal.write_anew)
        async for image in images(job_id):
            yield image

    monkeypatch.setattr(client, "images", lose_all)
    await results.restore()
    assert await asyncio.to_thread(standing, out) == set()
    await results.restore()
    assert await asyncio.to_thread(standing, out) == set(NAMES)


async def test_an_image_that_the_server_has_to_make_anew_is_not_taken_for_saved(
    client: Client,
    journal: WatchJournal,
    results: Results,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after an older backup was restored."""
    job_id = await finish_job(client, journal, tmp_path)
    images = [image async for image in client.images(job_id)]

    async def forget(_: str) -> AsyncIterator[Any]:
        for image in images:
            yield {**image, "status": "pending", "outputs": []}

    monkeypatch.setattr(client, "images", forget)
    await results.restore()
    assert journal.loss is None
    assert not any(entry.files for entry in journal.entries.values())


async def test_in_a_folder_that_was_made_anew_nothing_is_saved_before_it_is_gone_on_in(
    client: Client, journal: WatchJournal, results: Results, out: Path, tmp_path: Path
) -> None:
    """Somebody may still be deleting it."""
    job_id = await finish_job(client, journal, tmp_path)
    await asyncio.to_thread(note_all_sent, journal, job_id)
    await asyncio.to_thread(make_anew, out)
    waits = asyncio.Event()
    results._disk = Disk(lambda _: waits.set(), lambda: None, pause_s=0)
    collecting = asyncio.create_task(results.collect(journal.batches["1"]))
    await waits.wait()
    assert not await asyncio.to_thread(lambda: list(out.iterdir()))
    await asyncio.to_thread(journal.write_anew)
    assert await collecting == []
    assert await asyncio.to_thread(standing, out) == set(NAMES)


async def test_a_result_that_went_with_its_folder_is_not_done(
    client: Client,
    journal: WatchJournal,
    results: Results,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is to be brought back might be reckoned up before that can be noted."""
    job_id = await finish_job(client, journal, tmp_path)
    await asyncio.to_thread(note_all_sent, journal, job_id)
    waits = asyncio.Event()
    results._disk = Disk(lambda _: waits.set(), lambda: None, pause_s=0)
    after(client, monkeypatch, partial(asyncio.to_thread, make_anew, out))
    collecting = asyncio.create_task(results.collect(journal.batches["1"]))
    await waits.wait()
    assert journal.is_left("1", "a.png")
    await asyncio.to_thread(journal.write_anew)
    assert await collecting == []
    assert await asyncio.to_thread(standing, out) == set(NAMES)


async def test_a_result_that_arrives_in_a_folder_that_was_lost_is_saved_in_the_new_one_too(
    client: Client,
    journal: WatchJournal,
    results: Results,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where all that was lost is back by then."""
    job_id = await finish_job(client, journal, tmp_path)
    await asyncio.to_thread(note_all_sent, journal, job_id)

    async def lose_all() -> None:
        await asyncio.to_thread(make_anew, out)
        await asyncio.to_thread(journal.write_anew)
        await results.restore()
        assert journal.loss is None

    after(client, monkeypatch, lose_all)
    assert await results.collect(journal.batches["1"]) == []
    assert await asyncio.to_thread(standing, out) == set(NAMES)


async def test_one_that_was_saved_and_could_not_be_noted_before_the_folder_was_lost_is_too(
    client: Client,
    journal: WatchJournal,
    results: Results,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The disk is full, say."""
    job_id = await finish_job(client, journal, tmp_path)
    await asyncio.to_thread(note_all_sent, journal, job_id)
    waits, has_space = asyncio.Event(), asyncio.Event()
    results._disk = Disk(lambda _: waits.set(), lambda: None, pause_s=0)
    note_done = journal.note_done

    def note(*facts: Any) -> bool:
        if has_space.is_set():
            return note_done(*facts)
        raise LocalFileError(journal.path, "No space left on device")

    monkeypatch.setattr(journal, "note_done", note)
    collecting = asyncio.create_task(results.collect(journal.batches["1"]))
    await waits.wait()
    await asyncio.to_thread(make_anew, out)
    await asyncio.to_thread(journal.write_anew)
    await results.restore()
    assert journal.loss is None
    has_space.set()
    assert await collecting == []
    assert await asyncio.to_thread(standing, out) == set(NAMES)


async def test_where_results_vanish_it_waits_until_no_more_do(
    client: Client, journal: WatchJournal, results: Results, out: Path, tmp_path: Path
) -> None:
    await finish_job(client, journal, tmp_path)
    folder = OutFolder(out, journal, [("thumbnail", "webp")])
    for name in NAMES:
        await asyncio.to_thread((out / f"{name}.webp").touch)
    steps = iter([partial((out / f"{name}.webp").unlink) for name in NAMES])
    looks = 0
    whole = folder.stands_whole

    def look(files: Any) -> bool:
        nonlocal looks
        looks += 1
        if looks % len(NAMES) == 0 and (step := next(steps, None)):
            step()
        return whole(files)

    folder.stands_whole = look  # type: ignore[method-assign]
    await results.wait_until_still(folder, 0)
    assert await asyncio.to_thread(standing, out) == set()


async def test_a_job_that_the_server_has_lost_is_not_taken_for_a_deleted_one(
    client: Client,
    journal: WatchJournal,
    results: Results,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was there when its progress began."""
    job_id = await finish_job(client, journal, tmp_path)
    job = {**await client.job(job_id), "status": "processing"}
    await client.delete(job_id)
    await asyncio.to_thread(note_all_sent, journal, job_id)

    async def follow(_: str) -> AsyncIterator[Any]:
        yield {"type": "snapshot", "seq": 1, "job": job}
        await client.job(job_id)

    monkeypatch.setattr(client, "follow", follow)
    assert await results.collect(journal.batches["1"]) == [f"{name}.png" for name in NAMES]
    assert not journal.failed


async def test_one_result_that_the_server_has_lost_takes_no_other_with_it(
    server: ServerProcess,
    client: Client,
    journal: WatchJournal,
    results: Results,
    out: Path,
    tmp_path: Path,
) -> None:
    job_id = await finish_job(client, journal, tmp_path)
    image = await anext(client.images(job_id))
    (made,) = (server.data_dir / "jobs" / job_id / "out").glob(f"*{image['id']}*")
    made.unlink()
    await asyncio.to_thread(note_all_sent, journal, job_id)
    assert await results.collect(journal.batches["1"]) == ["a.png"]
    assert await asyncio.to_thread(standing, out) == {"b", "c"}


async def hear_of(messages: AsyncGenerator[dict[str, Any], None], completed: int) -> None:
    async with aclosing(messages):
        async for message in messages:
            if message["job"]["completed"] == completed:
                return


async def test_without_a_websocket_images_are_not_looked_at_again_until_others_are_final(
    client: Client,
    journal: WatchJournal,
    results: Results,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = (await client.open_job(preset="thumbnail"))["id"]
    await client.append(job_id, [BytesUpload(picture(), f"{name}.png") for name in "ab"])
    await hear_of(client.follow(job_id), 2)
    await asyncio.to_thread(note_all_sent, journal, job_id)
    images, hear, looks = client.images, client.follow, 0

    def look(job_id: str) -> AsyncIterator[Any]:
        nonlocal looks
        looks += 1
        return images(job_id)

    async def follow(_: str) -> AsyncIterator[Any]:
        for _look in range(3):
            yield {"type": "snapshot", "seq": None, "job": await client.job(job_id)}
        assert (looks, await asyncio.to_thread(standing, out)) == (1, {"a", "b"})
        await client.append(job_id, [BytesUpload(picture(), "c.png")])
        await client.close(job_id)
        await hear_of(hear(job_id), 3)
        for kind in ("snapshot", "end"):
            yield {"type": kind, "seq": None, "job": await client.job(job_id)}

    monkeypatch.setattr(client, "images", look)
    monkeypatch.setattr(client, "follow", follow)
    assert await results.collect(journal.batches["1"]) == []
    assert await asyncio.to_thread(standing, out) == set(NAMES)


async def test_a_look_that_broke_off_is_made_again_although_nothing_more_is_final(
    client: Client,
    journal: WatchJournal,
    results: Results,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = await finish_job(client, journal, tmp_path)
    await asyncio.to_thread(note_all_sent, journal, job_id)
    save, saved = client.save_outputs, 0

    async def break_off(*arguments: Any) -> object:
        nonlocal saved
        saved += 1
        if saved == 2:
            raise ServerUnreachable(client.server, "it is away")
        return await save(*arguments)

    async def follow(_: str) -> AsyncIterator[Any]:
        yield {"type": "snapshot", "seq": None, "job": await client.job(job_id)}
        assert await asyncio.to_thread(standing, out) == set(NAMES)

    monkeypatch.setattr(client, "save_outputs", break_off)
    monkeypatch.setattr(client, "follow", follow)
    assert await results.collect(journal.batches["1"]) == []
    assert saved == len(NAMES) + 1
