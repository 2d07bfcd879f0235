"""A job whose rows need more space to be deleted than is kept aside for that, on a full disk."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp

from tests.disk.conftest import serve_on
from tests.disk.small_disk import SmallDisk, small_disk


def _delete(disk: SmallDisk, how: str) -> int:
    """On a full disk; returns how the process ended."""
    command = [*disk.enter, sys.executable, "-m", "tests.disk.deletes", how]
    with subprocess.Popen(
        [*command, str(disk.path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as deleting:
        assert deleting.stdout is not None
        assert deleting.stdout.readline() == "ready\n"
        disk.fill()
        deleting.communicate("go\n", timeout=40)
    return deleting.returncode


def test_an_expired_job_is_deleted_however_much_its_rows_need(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size="48m") as disk:
        assert _delete(disk, "expired") == 0


async def test_a_job_whose_deletion_was_killed_before_its_rows_went_is_gone_with_the_next_start(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", size="48m") as disk:
        assert await asyncio.to_thread(_delete, disk, "killed") == -signal.SIGKILL
        assert list((disk.outside / "data" / "jobs").iterdir()) == []
        disk.clear()
        server = serve_on(disk)
        try:
            async with (
                aiohttp.ClientSession(base_url=server.url) as http,
                http.get("/api/v1/jobs") as answer,
            ):
                assert (await answer.json())["items"] == []
        finally:
            server.stop()
