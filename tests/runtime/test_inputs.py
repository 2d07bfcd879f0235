"""Inputs that something happens to on the disk, between a submit and a try."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.servers import get_json, make_settings, running_server, submit


def _put_folder(path: Path) -> None:
    """Which nobody can read as a file, whatever rights he has."""
    path.unlink()
    path.mkdir()


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _cut_off(path: Path) -> None:
    os.truncate(path, 3)


@pytest.mark.parametrize(
    ("spoil", "message", "why"),
    [
        (_put_folder, "The input file cannot be read", "Is a directory"),
        (_empty, "The input file is not what was sent any more", "of 8 bytes 0 are there"),
        (_cut_off, "The input file is not what was sent any more", "of 8 bytes 3 are there"),
    ],
)
async def test_an_input_that_the_disk_has_spoiled_is_no_fault_of_its_sender_and_in_the_log(
    tmp_path: Path, spoil: Callable[[Path], None], message: str, why: str
) -> None:
    async with running_server(make_settings(tmp_path / "data")) as server:
        job = await submit(server, ("b.jpg", b"no image"))
        (path,) = await asyncio.to_thread(lambda: list(tmp_path.glob("data/jobs/*/in/*")))
        await asyncio.to_thread(spoil, path)
        with capture_logs() as logs:
            async with server.http.post(f"{job['links']['self']}/retry") as answer:
                assert answer.status == 200
            async with server.http.ws_connect(job["links"]["events"]) as socket:
                async for _ in socket:
                    pass
        image = await get_json(server, f"{job['links']['images']}/0")
        assert image["error"]["code"] == "internal"
        assert image["error"]["message"] == message
        (warning,) = [line for line in logs if line["log_level"] in {"warning", "error"}]
        assert warning == {
            "event": "input_unusable",
            "log_level": "warning",
            "job_id": job["id"],
            "index": 0,
            "path": str(path),
            "why": why,
        }
