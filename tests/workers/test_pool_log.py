"""What the log says of a worker that died."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.workers.conftest import Pools


@pytest.mark.parametrize(
    ("deed", "end", "deadline", "words"),
    [
        ("write-then-crash last words", "signal 11 (Segmentation fault)", None, "last words"),
        ("leave", "exit code 0", None, ""),
        ("hang", "signal 9 (Killed)", "task", ""),
    ],
)
async def test_it_says_how_it_ended_and_of_which_image(
    open_pool: Pools, deed: str, end: str, deadline: str | None, words: str
) -> None:
    pool = await open_pool(timeout_s=0.5 if deadline else 20)
    await pool.ready()
    with capture_logs() as logs:
        (key,) = await pool.submit(deed)
        await pool.ended([key])
        await pool.pool.drain(0)
    (said,) = [log for log in logs if log["event"] == "worker_died"]
    assert (said["end"], said["deadline"]) == (end, deadline)
    assert (said["job_id"], said["index"]) == (key.job_id, key.index)
    assert words in said["stderr"]
