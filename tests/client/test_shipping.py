"""Files on their way to a server, and what gets in their way on this side."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgsvc.client import (
    ApiError,
    Client,
    Journal,
    LocalFileError,
    ServerUnreachable,
    sending,
)
from imgsvc.client.connection import Connection
from imgsvc.client.patience import Persistence
from imgsvc.client.sending import Sending
from imgsvc.client.upload import CHUNK_BYTES
from imgsvc.client.watching import shipping as module
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.entries import Batch
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.shipping import Shipping, Spec
from imgsvc.folders.scan import Folder, Sighting
from imgsvc.folders.steady import open_steady
from tests.client.conftest import LoseAnswer
from tests.client.pictures import picture
from tests.watch_process import put


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Of two images, one of which is sent in several chunks."""
    put(tmp_path / "in" / "a.png", picture("red"))
    put(tmp_path / "in" / "b.png", picture("blue") + bytes(3 * CHUNK_BYTES))
    return Folder(tmp_path / "in")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[WatchJournal]:
    with WatchJournal(tmp_path / "state" / "watch.jsonl") as journal:
        yield journal


@pytest.fixture
def troubles() -> list[LocalFileError]:
    return []


@pytest.fixture
def shipping(
    client: Client, folder: Folder, journal: WatchJournal, troubles: list[LocalFileError]
) -> Shipping:
    patience = Persistence(lambda _: None, lambda: None)
    disk = Disk(troubles.append, lambda: None, pause_s=0)
    return Shipping(client, folder, journal, patience, disk, Spec({"preset": "thumbnail"}, "r"))


async def send_all(shipping: Shipping, folder: Folder) -> Batch:
    return await shipping.send(await asyncio.to_thread(folder.scan), {})


async def test_what_finds_no_space_is_noted_later(
    shipping: Shipping,
    folder: Folder,
    journal: WatchJournal,
    troubles: list[LocalFileError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync, tries = os.fsync, iter(range(100))

    def sync_every_other_time(file: int) -> None:
        if next(tries) % 2 == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    monkeypatch.setattr(os, "fsync", sync_every_other_time)
    batch = await send_all(shipping, folder)
    assert sorted(batch.images.values()) == ["a.png", "b.png"]
    note = journal.sending / f"{batch.id}.jsonl"
    assert {error.path for error in troubles} == {journal.path, note}
    assert not note.exists()


async def test_a_note_that_cannot_be_removed_is_removed_later(
    shipping: Shipping,
    folder: Folder,
    journal: WatchJournal,
    troubles: list[LocalFileError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forget = Journal.forget

    def forget_at_the_second_try(note: Journal) -> None:
        if not troubles:
            raise LocalFileError(note.path, "it cannot be removed")
        forget(note)

    monkeypatch.setattr(Journal, "forget", forget_at_the_second_try)
    await send_all(shipping, folder)
    assert not list(journal.sending.iterdir())


async def test_a_file_that_is_overwritten_while_it_is_sent_has_not_failed(
    shipping: Shipping, folder: Folder, journal: WatchJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_and_overwrite(folder: Folder, sighting: Sighting) -> object:
        file = open_steady(folder, sighting)
        opened.append(sighting.name)
        if sighting.name == "b.png" and opened.count("b.png") == 2:  # it was looked at before
            sighting.path.write_bytes(picture("green"))
        return file

    monkeypatch.setattr(module, "open_steady", open_and_overwrite)
    batch = await send_all(shipping, folder)
    assert list(batch.images.values()) == ["a.png"]
    assert (list(journal.entries), journal.failed) == (["a.png"], {})


async def test_a_batch_is_sent_once_when_it_ends_before_the_first_answer(
    shipping: Shipping,
    folder: Folder,
    journal: WatchJournal,
    client: Client,
    lose_answer: LoseAnswer,
) -> None:
    lost = lose_answer(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await send_all(shipping, folder)
    (batch,) = journal.batches.values()
    await shipping.recover(batch)
    assert (batch.images, dict(journal.entries)) == ({}, {})
    with pytest.raises(ApiError, match="job"):
        await client.job(lost[0])
    assert len((await send_all(shipping, folder)).images) == 2


@pytest.mark.parametrize("gone", [["b.png"], ["a.png", "b.png"]])
async def test_files_may_be_taken_away_while_an_answer_is_lost(
    shipping: Shipping, folder: Folder, client: Client, lose_answer: LoseAnswer, gone: list[str]
) -> None:
    def take_away() -> None:
        for name in gone:
            (folder.root / name).unlink()

    lose_answer(ServerUnreachable(client.server, "the connection broke"), take_away)
    batch = await send_all(shipping, folder)
    assert list(batch.images.values()) == [n for n in ("a.png", "b.png") if n not in gone]


@pytest.fixture
def cancelled(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each file is sent by itself; once one has arrived somebody cancels the job, whose id is put
    here.
    """
    upload, turn, ids = Connection.upload, asyncio.Lock(), list[str]()

    async def upload_and_cancel(self: Connection, *parts: str, **rest: Any) -> object:
        async with turn:
            answer = await upload(self, *parts, **rest)
            ids.append((await client.cancel(parts[1]))["id"])
            return answer

    monkeypatch.setattr(sending, "GROUP_IMAGES", 1)
    monkeypatch.setattr(Connection, "upload", upload_and_cancel)
    return ids


async def test_what_has_arrived_of_a_batch_is_not_sent_again_when_its_job_is_cancelled(
    shipping: Shipping, folder: Folder, journal: WatchJournal, cancelled: list[str]
) -> None:
    batch = await send_all(shipping, folder)
    assert ([batch.job_id], len(batch.images)) == (cancelled, 1)
    assert list(journal.entries) == list(batch.images.values())


async def test_nor_is_it_when_that_was_done_before_an_end(
    shipping: Shipping,
    folder: Folder,
    journal: WatchJournal,
    cancelled: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def end(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(Sending, "_close", end)
    monkeypatch.setattr(sending, "GROUP_IMAGES", 2)
    with pytest.raises(asyncio.CancelledError):
        await send_all(shipping, folder)
    (batch,) = journal.batches.values()
    await shipping.recover(batch)
    assert ([batch.job_id], len(batch.images)) == (cancelled, 2)
