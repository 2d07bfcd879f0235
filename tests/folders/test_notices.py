"""What the kernel tells, through watchfiles; these tests wait for it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from watchfiles import watch

from imgsvc.folders import notices as module
from imgsvc.folders.notices import KernelNotices
from tests.folders.conftest import rest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "d").mkdir(parents=True)
    return folder


@pytest.fixture
async def notices(root: Path) -> AsyncIterator[KernelNotices]:
    notices = KernelNotices(root)
    assert set(await notices.cover(["", "d/"])) == {"", "d/"}
    yield notices
    await notices.close()


async def hear(notices: KernelNotices, *names: str) -> None:
    """Wait until all of these were told."""
    told: set[str] = set()
    async with asyncio.timeout(20):
        while not told >= set(names):
            await notices.wait(20)
            told |= notices.take()


async def test_new_changed_and_moved_files_are_told(notices: KernelNotices, root: Path) -> None:
    (root / "a.jpg").write_bytes(b"1")
    (root / "d" / "b.jpg").write_bytes(b"1")
    await hear(notices, "a.jpg", "d/b.jpg")
    (root / "a.jpg").rename(root / "d" / "c.jpg")
    await hear(notices, "a.jpg", "d/c.jpg")


async def test_a_new_folder_is_told_and_can_be_watched_too(
    notices: KernelNotices, root: Path
) -> None:
    (root / "new").mkdir()
    await hear(notices, "new")
    assert list(await notices.cover(["", "d/", "new/"])) == ["new/"]
    (root / "new" / "a.jpg").write_bytes(b"1")
    await hear(notices, "new/a.jpg")


async def test_folders_that_come_one_after_another_do_not_have_all_others_named_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[int] = []

    def count(*paths: str, **options: Any) -> Any:
        named.append(len(paths))
        return watch(*paths, **options)

    monkeypatch.setattr(module, "watch", count)
    monkeypatch.setattr(module, "STEP_MS", 10)
    notices = KernelNotices(root)
    folders = [f"d/{number}/" for number in range(200)]
    for folder in folders:
        (root / folder).mkdir()
    await notices.cover(["", "d/", *folders])
    for number in range(12):
        (root / f"{number}").mkdir()
        folders.append(f"{number}/")
        await notices.cover(["", "d/", *folders])
    assert sum(named) < 202 + 12 * 13
    assert len(notices._ears) <= 3
    for folder in ("d/0/", "d/199/", "0/", "11/"):
        (root / folder / "a.jpg").write_bytes(b"1")
    await hear(notices, "d/0/a.jpg", "d/199/a.jpg", "0/a.jpg", "11/a.jpg")
    (root / "d" / "0").rename(root / "moved")
    (root / "d" / "0").mkdir()
    await hear(notices, "d/0", "moved")
    assert set(await notices.cover(["", "d/", "moved/", *folders])) >= {"d/0/", "moved/"}
    (root / "d" / "0" / "b.jpg").write_bytes(b"1")
    (root / "moved" / "c.jpg").write_bytes(b"1")
    await hear(notices, "d/0/b.jpg", "moved/c.jpg")
    await notices.close()


async def test_a_folder_that_was_replaced_is_watched_anew(
    notices: KernelNotices, root: Path
) -> None:
    (root / "d").rename(root / "e")
    (root / "d").mkdir()
    await hear(notices, "d", "e")
    assert set(await notices.cover(["", "d/", "e/"])) == {"d/", "e/"}
    (root / "d" / "a.jpg").write_bytes(b"1")
    (root / "e" / "b.jpg").write_bytes(b"1")
    await hear(notices, "d/a.jpg", "e/b.jpg")


async def test_nothing_is_told_of_what_a_link_leads_to(
    notices: KernelNotices, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    await hear(notices, "link")
    (tmp_path / "elsewhere" / "a.jpg").write_bytes(b"1")
    (root / "last.jpg").write_bytes(b"1")
    told: set[str] = set()
    async with asyncio.timeout(20):
        while "last.jpg" not in told:
            await notices.wait(20)
            told |= notices.take()
    assert told == {"last.jpg"}


async def test_a_name_that_cannot_be_told_ends_in_looking(
    notices: KernelNotices, root: Path
) -> None:
    with capture_logs() as logs:
        (root / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"1")
        await hear(notices, "")
    assert not notices.tells_all
    assert [log["event"] for log in logs] == ["folder_is_polled"]
    assert await notices.cover(["", "d/", "e/"]) == ()


async def test_where_no_more_watches_are_granted_the_folder_is_looked_at(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_paths: str, **_options: object) -> object:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(module, "watch", refuse)
    notices = KernelNotices(root)
    with capture_logs() as logs:
        assert await notices.cover(["", "d/"]) == ()
    assert not notices.tells_all
    assert [log["event"] for log in logs] == ["folder_is_polled"]


async def test_a_folder_that_goes_while_it_begins_is_no_reason_to_give_up(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def miss(*_paths: str, **_options: object) -> object:
        raise FileNotFoundError

    monkeypatch.setattr(module, "watch", miss)
    notices = KernelNotices(root)
    assert await notices.cover(["", "d/"]) == ()
    assert notices.tells_all
    assert notices.take() == {""}


async def test_a_cover_that_is_cancelled_leaves_no_thread_behind(root: Path) -> None:
    notices = KernelNotices(root)
    await notices.cover([""])
    for _ in range(2):
        covering = asyncio.create_task(notices.cover(["", "d/"]))
        while len(listeners()) < 2:
            await rest()
        covering.cancel()
        await asyncio.wait({covering})
        notices._covered = frozenset()
    await notices.close()
    assert listeners() == []


def listeners() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "imgsvc-folder"]
