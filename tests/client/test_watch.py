"""A watch whose disk is full, or whose out folder is made anew: what needs no whole process."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from imgsvc.client import Client, LocalFileError
from imgsvc.client.errors import translating
from imgsvc.client.patience import Persistence
from imgsvc.client.watching import watch as module
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.out_folder import OutFolder
from imgsvc.client.watching.outcome import Outcome
from imgsvc.client.watching.shipping import Spec
from imgsvc.client.watching.watch import FolderWatch, Reports
from imgsvc.files import places
from imgsvc.folders.scan import Folder, Sighting
from imgsvc.folders.watcher import Timing
from tests.client.pictures import picture
from tests.killed_writers import leave_part
from tests.watch_process import put, results_in

RESULTS = {"a.webp", "b.webp"}


class Saved:
    """What a client saves: `all` is set when both results stand. refuse: what comes next fails,
    and takes the out folder with it.
    """

    def __init__(self, client: Client, out: Path) -> None:
        self._save = client.save_outputs
        self._out = out
        self.all = asyncio.Event()
        self.refuse = False

    async def save(self, *arguments: Any) -> object:
        if self.refuse:
            self.refuse = False
            await asyncio.to_thread(make_anew, self._out)
            with translating(self._out):
                raise OSError(errno.ENODEV, "It is gone")
        done = await self._save(*arguments)
        if await asyncio.to_thread(results_in, self._out) == RESULTS:
            self.all.set()
        return done


def make_anew(out: Path) -> None:
    shutil.rmtree(out)
    out.mkdir()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def saved(client: Client, out: Path, monkeypatch: pytest.MonkeyPatch) -> Saved:
    saved = Saved(client, out)
    monkeypatch.setattr(client, "save_outputs", saved.save)
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    return saved


@pytest.fixture
async def watch(
    client: Client, saved: Saved, tmp_path: Path, out: Path
) -> AsyncIterator[FolderWatch]:
    """It runs, and has saved the results of two images."""
    for name in ("a.png", "b.png"):
        put(tmp_path / "in" / name, picture())
    done: list[Outcome] = []
    has_done = asyncio.Event()

    def note(outcome: Outcome) -> None:
        done.append(outcome)
        if len(done) == len(RESULTS):
            has_done.set()

    journal = await asyncio.to_thread(WatchJournal, out / ".imgsvc" / "watch.jsonl")
    watch = FolderWatch(
        client,
        Folder(tmp_path / "in"),
        journal,
        Spec({"preset": "thumbnail"}, "r"),
        OutFolder(out, journal, [("thumbnail", "webp")]),
        Persistence(lambda _: None, lambda: None),
        Disk(lambda _: None, lambda: None, pause_s=0.01),
        Reports(note, lambda _: None),
        polling=True,
        timing=Timing(settle_s=0),
    )
    running = asyncio.create_task(watch.run())
    async with asyncio.timeout(60):
        await has_done.wait()
    saved.all.clear()
    yield watch
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.to_thread(journal.close)


async def test_nothing_is_made_in_an_out_folder_that_results_still_vanish_from(
    watch: FolderWatch, saved: Saved, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vanishing, still = asyncio.Event(), asyncio.Event()

    async def wait(*_: object) -> None:
        vanishing.set()
        await still.wait()

    monkeypatch.setattr(watch._results, "wait_until_still", wait)
    await asyncio.to_thread(make_anew, out)
    async with asyncio.timeout(60):
        await vanishing.wait()
        assert not await asyncio.to_thread(lambda: list(out.iterdir()))
        still.set()
        await saved.all.wait()


async def test_what_a_killed_watch_has_left_is_removed_by_a_later_one(
    client: Client, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await asyncio.to_thread(WatchJournal, out / ".imgsvc" / "watch.jsonl")
    parts = [
        await asyncio.to_thread(leave_part, out, target) for target in (".imgsvc/x", "trip/a.webp")
    ]
    monkeypatch.setattr(places, "ABANDONED_S", -60)
    watch = FolderWatch(
        client,
        Folder(tmp_path / "in"),
        journal,
        Spec({}, "r"),
        OutFolder(out, journal, [("thumbnail", "webp")]),
        Persistence(lambda _: None, lambda: None),
        Disk(lambda _: None, lambda: None),
        Reports(lambda _: None, lambda _: None),
    )
    await watch._prepare()
    assert not any(part.exists() for part in parts)
    await asyncio.to_thread(journal.close)


@pytest.mark.usefixtures("watch")
async def test_an_out_folder_that_is_lost_again_while_it_is_filled_is_filled_again(
    saved: Saved, out: Path
) -> None:
    saved.refuse = True
    await asyncio.to_thread(make_anew, out)
    async with asyncio.timeout(60):
        await saved.all.wait()


async def test_what_is_gone_at_a_start_is_forgotten_once_the_disk_takes_that(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "in" / "a.png", picture())
    journal = await asyncio.to_thread(WatchJournal, tmp_path / "state" / "watch.jsonl")
    gone = Sighting("gone.png", str(tmp_path / "in"), 1, 2, 3)
    for note in (
        partial(journal.note_batch, "1", "r", {}, [gone], {}),
        partial(journal.note_job, "1", "job", [(0, "gone.png", "ab")]),
        partial(journal.note_done, "1", "gone.png", []),
        partial(journal.end_batch, "1"),
    ):
        await asyncio.to_thread(note)
    troubles: list[LocalFileError] = []
    forget = journal.forget

    def forget_at_the_second_try(names: list[str]) -> None:
        if not troubles:
            raise LocalFileError(journal.path, "it cannot be written")
        forget(names)

    monkeypatch.setattr(journal, "forget", forget_at_the_second_try)
    watch = FolderWatch(
        client,
        Folder(tmp_path / "in"),
        journal,
        Spec({}, "r"),
        None,
        Persistence(lambda _: None, lambda: None),
        Disk(troubles.append, lambda: None, pause_s=0),
        Reports(lambda _: None, lambda _: None),
    )
    await watch._prepare()
    assert not journal.entries
    await asyncio.to_thread(journal.close)


async def test_what_is_still_to_be_brought_back_is_not_forgotten_at_a_start(
    client: Client, tmp_path: Path
) -> None:
    """Its image was taken away once it was done, and an end came in between."""
    put(tmp_path / "in" / "a.png", picture())
    out = tmp_path / "out"
    image = tmp_path / "b.png"
    put(image, picture("blue"))
    job = await client.submit([image], preset="thumbnail")
    await client.wait(job["id"])
    journal = await asyncio.to_thread(WatchJournal, out / ".imgsvc" / "watch.jsonl")
    choices = OutFolder(out, journal, [("thumbnail", "webp")]).choose(["b.png"])
    gone = Sighting("b.png", str(tmp_path / "in"), 1, 2, 3)
    for note in (
        partial(journal.note_batch, "1", "r", {}, [gone], choices),
        partial(journal.note_job, "1", job["id"], [(0, "b.png", "ab")]),
        partial(journal.note_done, "1", "b.png", [("thumbnail", "webp", "b.webp")]),
        partial(journal.end_batch, "1"),
        partial(make_anew, out),
        journal.write_anew,
        journal.close,
    ):
        await asyncio.to_thread(note)
    journal = await asyncio.to_thread(WatchJournal, out / ".imgsvc" / "watch.jsonl")
    watch = FolderWatch(
        client,
        Folder(tmp_path / "in"),
        journal,
        Spec({"preset": "thumbnail"}, "r"),
        OutFolder(out, journal, [("thumbnail", "webp")]),
        Persistence(lambda _: None, lambda: None),
        Disk(lambda _: None, lambda: None, pause_s=0),
        Reports(lambda _: None, lambda _: None),
    )
    await watch._prepare()
    await watch._results.restore()
    assert await asyncio.to_thread(results_in, out) == {"b.webp"}
    await asyncio.to_thread(journal.close)
