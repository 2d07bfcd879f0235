"""A server at whose start the clock is behind what its database says."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from imgsvc.domain.times import now_ms
from tests.pictures import make_jpeg
from tests.servers import form_of, make_settings, running_server, submit

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS


def _set_forward(database: Path) -> None:
    """As if everything had been written with a clock a year ahead."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE jobs SET expires_at = expires_at + ?", (YEAR_MS,))
        connection.execute("UPDATE jobs SET appended_at = appended_at + ?", (YEAR_MS,))
        connection.execute(
            "UPDATE images SET not_before = ? WHERE state = 'pending'", (now_ms() + YEAR_MS,)
        )


async def test_a_start_with_the_clock_set_back_waits_for_nothing(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    async with running_server(settings) as server:
        kept = await submit(server, ("a.jpg", make_jpeg(30, 20)))
        form = form_of(("b.jpg", make_jpeg(20, 20)), spec='{"open": true}')
        async with server.http.post("/api/v1/jobs", data=form) as answer:
            waiting = await answer.json()
        await server.core.dispatcher.stop(0)  # so that it is pending, or is given back so
    await asyncio.to_thread(_set_forward, tmp_path / "data" / "imgsvc.db")
    async with running_server(settings) as server:
        assert await server.core.store.idle_open_jobs(now_ms(), 9) == [waiting["id"]]
        async with server.http.post(f"{waiting['links']['self']}/close") as answer:
            assert answer.status == 200
        async with server.http.ws_connect(waiting["links"]["events"]) as socket:
            messages = [message.json() async for message in socket]
        assert messages[-1]["job"]["status"] == "completed"
        expires_at = (await server.core.store.job(kept["id"])).expires_at
        assert expires_at is not None
        assert abs(expires_at - now_ms() - DAY_MS) < 60_000
        assert {"clock", "checkpoints", "database"} <= {t.get_name() for t in server.core.tasks}
