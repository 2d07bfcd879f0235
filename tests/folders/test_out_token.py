"""Whose an output folder is."""

from __future__ import annotations

import shutil
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from imgsvc.folders.placing import DeliveryFolder
from imgsvc.store.store import Store
from tests.folders.conftest import Hotfolder
from tests.folders.test_service import known, put
from tests.pictures import make_jpeg
from tests.servers import Running, make_settings, running_server


class Killed(Exception):
    """Where a test ends a server."""


def reasons(logs: list[MutableMapping[str, Any]]) -> list[str]:
    return [line["reason"] for line in logs if line["event"] == "out_folder_waits"]


async def make_one_more(hotfolder: Hotfolder, name: str) -> None:
    """A result that nobody has delivered yet."""
    put(hotfolder.root / f"{name}.jpg", make_jpeg(40 + ord(name), 50))
    await hotfolder.take(jobs=len(await hotfolder.jobs()) + 1)
    await hotfolder.until_final()


async def test_a_bare_mount_point_that_was_marked_once_is_not_taken_for_the_share(
    server: Running, tmp_path: Path
) -> None:
    for name in ("in", "share", "bare"):
        (tmp_path / name).mkdir()
    out = tmp_path / "out"
    out.symlink_to(tmp_path / "bare")
    hotfolder = await Hotfolder.open(server, tmp_path)
    await make_one_more(hotfolder, "a")
    await hotfolder.deliver()
    assert (out / "a.webp").exists()
    out.unlink()
    out.symlink_to(tmp_path / "share")
    await make_one_more(hotfolder, "b")
    with capture_logs() as logs:
        await hotfolder.deliver()
    assert reasons(logs)[0].startswith("It has no folder .imgsvc")
    (out / ".imgsvc").mkdir()
    await hotfolder.deliver_again()
    assert (out / "b.webp").exists()
    out.unlink()
    out.symlink_to(tmp_path / "bare")
    await make_one_more(hotfolder, "c")
    again = await Hotfolder.open(server, tmp_path)
    with capture_logs() as logs:
        await again.deliver()
    assert reasons(logs)[0].startswith(".imgsvc/server in it is another server's, or an older one")
    out.unlink()
    out.symlink_to(tmp_path / "share")
    await again.deliver_again()
    assert (out / "c.webp").exists()


async def test_results_go_on_beside_those_of_before_although_nothing_marks_the_folder(
    hotfolder: Hotfolder, server: Running, tmp_path: Path
) -> None:
    await make_one_more(hotfolder, "a")
    await hotfolder.deliver()
    await make_one_more(hotfolder, "b")
    shutil.rmtree(hotfolder.out / ".imgsvc")
    hotfolder.out.rename(tmp_path / "renamed")
    again = await Hotfolder.open(server, tmp_path, out_name="renamed")
    await again.deliver()
    assert (tmp_path / "renamed" / "b.webp").exists()


async def test_a_folder_without_the_results_of_before_is_waited_for_until_it_is_marked(
    hotfolder: Hotfolder, server: Running, tmp_path: Path
) -> None:
    await make_one_more(hotfolder, "a")
    await hotfolder.deliver()
    await make_one_more(hotfolder, "b")
    again = await Hotfolder.open(server, tmp_path, out_name="other")
    again.out.mkdir()
    await again.deliver()
    assert not list(again.out.iterdir())
    (again.out / ".imgsvc").mkdir()
    await again.deliver_again()
    assert (again.out / "b.webp").exists()


async def test_a_fresh_server_takes_a_folder_over_and_the_one_of_before_waits_and_says_so(
    hotfolder: Hotfolder, tmp_path: Path
) -> None:
    await make_one_more(hotfolder, "a")
    await hotfolder.deliver()
    (tmp_path / "fresh" / "in").mkdir(parents=True)
    async with running_server(make_settings(tmp_path / "fresh" / "data")) as fresh:
        other = await Hotfolder.open(fresh, tmp_path / "fresh", out_name=str(hotfolder.out))
        await make_one_more(other, "b")
        await other.deliver()
        theirs = (hotfolder.out / "b.webp").read_bytes()
        put(hotfolder.root / "b.jpg", make_jpeg(30, 30))
        await hotfolder.take(jobs=2)
        await hotfolder.until_final()
        with capture_logs() as logs:
            await hotfolder.deliver()
        assert reasons(logs)[0].startswith(".imgsvc/server in it is another server's")
    assert (hotfolder.out / "b.webp").read_bytes() == theirs
    (hotfolder.out / ".imgsvc" / "server").unlink()
    await hotfolder.deliver_again()
    assert (hotfolder.out / "b.webp").read_bytes() != theirs


async def die_while_delivering(hotfolder: Hotfolder, kind: type, method: str, call: int) -> None:
    """At so many a call of a method."""
    calls, made = [], getattr(kind, method)

    def end(*args: Any) -> Any:
        calls.append(method)
        if len(calls) == call:
            raise Killed
        return made(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, method, end)
        with pytest.raises(Killed):
            await hotfolder.deliver()


@pytest.mark.parametrize(
    ("kind", "method", "call"),
    [
        (DeliveryFolder, "mark", 1),
        (Store, "save_out_token", 1),
        (DeliveryFolder, "mark", 2),
        (DeliveryFolder, "check", 1),
    ],
)
async def test_a_kill_while_a_folder_is_taken_over_makes_nobody_wait(
    server: Running, tmp_path: Path, kind: type, method: str, call: int
) -> None:
    (tmp_path / "in").mkdir()
    hotfolder = await Hotfolder.open(server, tmp_path)
    (hotfolder.out / ".imgsvc").mkdir(parents=True)
    (hotfolder.out / ".imgsvc" / "server").write_text("another server's")
    await make_one_more(hotfolder, "a")
    await die_while_delivering(hotfolder, kind, method, call)
    again = await Hotfolder.open(server, tmp_path)
    await again.deliver()
    assert (again.out / "a.webp").exists()


@pytest.mark.parametrize(("kind", "method"), [(Store, "save_out_token"), (DeliveryFolder, "mark")])
async def test_a_kill_while_a_folder_that_was_marked_by_hand_is_taken_makes_nobody_wait(
    hotfolder: Hotfolder, server: Running, tmp_path: Path, kind: type, method: str
) -> None:
    await make_one_more(hotfolder, "a")
    await hotfolder.deliver()
    (hotfolder.out / ".imgsvc" / "server").unlink()
    await make_one_more(hotfolder, "b")
    await die_while_delivering(hotfolder, kind, method, 1)
    again = await Hotfolder.open(server, tmp_path)
    await again.deliver()
    assert (again.out / "b.webp").exists()


async def test_a_result_that_is_gone_is_known_to_be_so_after_a_restart_too(
    hotfolder: Hotfolder, server: Running, tmp_path: Path
) -> None:
    await make_one_more(hotfolder, "a")
    await make_one_more(hotfolder, "b")
    await hotfolder.deliver()
    again = await Hotfolder.open(server, tmp_path)
    await again.service.run_once()
    for path in ("in/a.jpg", "out/a.webp"):
        (tmp_path / path).unlink()
    await again.service.tidy_once()
    assert await known(again) == ["b.jpg"]
