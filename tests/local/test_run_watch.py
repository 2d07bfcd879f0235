"""Watching folders without a server: what need not be shown by a whole process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from imgsvc.cli.run_wish import Wish
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.entries import Failure
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.listing import Listing
from imgsvc.client.watching.out_folder import OutFolder
from imgsvc.client.watching.watch import Reports
from imgsvc.folders.scan import Folder, Sighting
from imgsvc.folders.watcher import Timing, watch_folder
from imgsvc.local.run_watch import RunWatch
from imgsvc.local.watched import Watched
from imgsvc.recipes.validation import parse_recipe
from imgsvc.runtime.core import open_core
from tests.pictures import make_png
from tests.servers import make_settings
from tests.watch_process import put

TIDY_S = 10.0

RECIPE = parse_recipe({"variants": [{"name": "v", "format": "webp"}]})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[WatchJournal]:
    """It knows of a failure in a folder `a`, which was watched before."""
    failed = Sighting("a/bad.png", "/in", 1, 2, 3)
    with WatchJournal(tmp_path / "out" / ".imgsvc" / "run-watch.jsonl") as journal:
        journal.note_batch("1", "r", {}, [failed], {})
        journal.note_failed("1", failed.name, Failure("timeout", "It took too long.", 5))
        yield journal


@pytest.fixture
async def watch(tmp_path: Path, journal: WatchJournal) -> AsyncIterator[RunWatch]:
    """Of the folder `b`, beside another one: names begin with `b/`."""
    root, out = tmp_path / "b", tmp_path / "out"
    root.mkdir()
    wish = Wish(out, RECIPE, None, {})
    async with open_core(make_settings(out / ".imgsvc")) as core:
        yield RunWatch(
            wish.open_run(core),
            wish.plan(),
            {},
            [Watched(Folder(root), "b/", root, polling=True)],
            journal,
            OutFolder(out, journal, [("v", "webp")]),
            Disk(lambda _: None, lambda: None),
            Reports(lambda _: None, lambda _: None),
        )


async def test_what_failed_in_a_folder_that_is_not_watched_now_stays_listed(
    watch: RunWatch, journal: WatchJournal, tmp_path: Path
) -> None:
    (tmp_path / "b" / "good.png").touch()
    listing: Listing = watch._listing
    await asyncio.to_thread(watch._take_up)
    await asyncio.wait_for(listing.tidy_once(), TIDY_S)
    assert list(journal.failed) == ["a/bad.png"]


async def test_nothing_is_forgotten_of_a_folder_that_may_not_be_mounted(
    watch: RunWatch, journal: WatchJournal, tmp_path: Path
) -> None:
    failed = Sighting("b/bad.png", "/in", 1, 2, 3)
    await asyncio.to_thread(journal.note_batch, "2", "r", {}, [failed], {})
    failure = Failure("timeout", "It took too long.", 5)
    await asyncio.to_thread(journal.note_failed, "2", failed.name, failure)
    await asyncio.to_thread(watch._take_up)
    assert list(journal.failed) == ["a/bad.png", "b/bad.png"]
    (tmp_path / "b" / "good.png").touch()
    await asyncio.to_thread(watch._take_up)
    assert list(journal.failed) == ["a/bad.png"]


async def test_what_failed_and_was_moved_out_and_back_is_given_out_again(
    watch: RunWatch, journal: WatchJournal, tmp_path: Path
) -> None:
    (watched,) = watch._watched
    for name in ("bad.png", "good.png"):
        put(tmp_path / "b" / name, make_png())
    is_known = partial(watch._is_known, watched)
    watcher = watch_folder(watched.folder, is_known, polling=True, timing=Timing(settle_s=0))
    watch._watchers["b/"] = watcher
    bad, _good = await watcher.run_once()
    failed = bad._replace(name="b/bad.png")
    await asyncio.to_thread(journal.note_batch, "2", "r", {}, [failed], {})
    failure = Failure("timeout", "It took too long.", 5)
    await asyncio.to_thread(journal.note_failed, "2", failed.name, failure)
    bad.path.rename(tmp_path / "away.png")
    await asyncio.wait_for(watch._listing.tidy_once(), TIDY_S)
    assert list(journal.failed) == ["a/bad.png"]
    (tmp_path / "away.png").rename(bad.path)
    assert await watcher.run_once() == [bad]
    await watcher.close()
