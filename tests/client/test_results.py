"""Results of a watch: those of jobs that are lost, and missing ones brought back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from imgsvc.client import Client
from imgsvc.client.patience import Persistence
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.out_folder import OutFolder
from imgsvc.client.watching.results import Results
from imgsvc.folders.scan import Sighting
from tests.client.pictures import picture

NAMES = ["a", "b", "c"]


def pass_over(*_: object) -> None:
    pass


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def journal(out: Path) -> Iterator[WatchJournal]:
    with WatchJournal(out / ".imgsvc" / "watch.jsonl") as journal:
        journal.begin("/in")
        journal.has_lost = True
        yield journal


@pytest.fixture
def results(client: Client, journal: WatchJournal, out: Path) -> Results:
    patience, disk = Persistence(pass_over, pass_over), Disk(pass_over, lambda: None)
    folder = OutFolder(out, journal, [("thumbnail", "webp")])
    return Results(client, journal, patience, disk, folder, pass_over)


async def finish_job(client: Client, journal: WatchJournal, tmp_path: Path) -> str:
    """Every file of it is done by the journal, and none of its results stands; the job's id."""
    files = [tmp_path / f"{name}.png" for name in NAMES]
    for file in files:
        await asyncio.to_thread(file.write_bytes, picture("red"))
    job = await client.submit(files, preset="thumbnail")
    await client.wait(job["id"])
    await asyncio.to_thread(note_all_sent, journal, job["id"])
    for name in NAMES:
        saved = [("thumbnail", "webp", f"{name}.webp")]
        await asyncio.to_thread(journal.note_done, "1", f"{name}.png", saved)
    return str(job["id"])


def note_all_sent(journal: WatchJournal, job_id: str) -> None:
    sightings = [Sighting(f"{name}.png", "/in", 1, 2, 3) for name in NAMES]
    journal.note_batch("1", "r", {}, sightings, {one.name: "[]" for one in sightings})
    journal.note_job("1", job_id, [(i, f"{name}.png", "ab") for i, name in enumerate(NAMES)])


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
    assert (journal.has_lost, await asyncio.to_thread(standing, out)) == (True, {"b"})
    await results.restore()
    assert (journal.has_lost, await asyncio.to_thread(standing, out)) == (True, {"b", "c"})
    await results.restore()  # what was brought back once may be taken away
    assert (journal.has_lost, await asyncio.to_thread(standing, out)) == (False, {"b", "c"})
    assert all(entry.files for entry in journal.entries.values())


async def test_only_what_the_server_was_asked_for_and_lacks_is_lost(
    client: Client, journal: WatchJournal, results: Results, out: Path, tmp_path: Path
) -> None:
    job_id = await finish_job(client, journal, tmp_path)
    await asyncio.to_thread((out / "b.webp").touch)
    await client.delete(job_id)
    await results.restore()
    assert not journal.has_lost
    assert {name: bool(entry.files) for name, entry in journal.entries.items()} == {
        "a.png": False,
        "b.png": True,
        "c.png": False,
    }


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
        yield {"type": "snapshot", "job": job}
        await client.job(job_id)

    monkeypatch.setattr(client, "follow", follow)
    assert await results.collect(journal.batches["1"]) == [f"{name}.png" for name in NAMES]
    assert not journal.failed
