"""The list of what failed while a folder is watched."""

from __future__ import annotations

import asyncio
from pathlib import Path

from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.entries import Failure
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.listing import Listing
from imgsvc.folders.scan import Sighting


def open_journal(path: Path) -> WatchJournal:
    """It knows of two failures."""
    journal = WatchJournal(path)
    names = ["bad.png", "gone.png"]
    journal.note_batch("1", "r", {}, [Sighting(name, "/in", 1, 2, 3) for name in names], {})
    for name in names:
        journal.note_failed("1", name, Failure("timeout", "It took too long.", 5))
    return journal


async def test_what_failed_and_is_gone_is_listed_no_more_and_looked_for_anew(
    tmp_path: Path,
) -> None:
    journal = await asyncio.to_thread(open_journal, tmp_path / "watch.jsonl")
    anew: list[str] = []
    listing = Listing(
        journal,
        Disk(lambda _: None, lambda: None),
        lambda _: None,
        {"gone.png"}.intersection,
        anew.append,
    )
    await listing.tidy_once()
    assert list(journal.failed) == ["bad.png"]
    assert anew == ["gone.png"]
    await asyncio.to_thread(journal.close)
