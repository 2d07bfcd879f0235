"""What the log says of a worker that died."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from imgsvc.domain.rendering import LossCause
from imgsvc.workers.engine import DeathCause
from imgsvc.workers.verdict import name_death
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
    cause = DeathCause.TIMEOUT if deadline else DeathCause.CRASHED
    assert {cause: n for cause, n in pool.pool.toll.deaths.items() if n} == {cause: 1}


@pytest.mark.parametrize(
    ("cause", "deadline", "was_warm", "name"),
    [
        (LossCause.OUT_OF_MEMORY, None, True, DeathCause.OUT_OF_MEMORY),
        (LossCause.CRASHED, None, True, DeathCause.CRASHED),
        (LossCause.TIMEOUT, "task", True, DeathCause.TIMEOUT),
        (None, "task", True, DeathCause.TIMEOUT),  # whoever was late has answered after all
        (None, "stall", True, DeathCause.STALL),
        (None, "start", False, DeathCause.START),
        (None, None, False, DeathCause.START),
        (None, None, True, DeathCause.OTHER),
    ],
)
def test_every_death_has_a_name(
    cause: LossCause | None, deadline: str | None, was_warm: bool, name: DeathCause
) -> None:
    assert name_death(cause, deadline, was_warm=was_warm) is name


async def test_who_is_told_to_go_has_not_died(open_pool: Pools) -> None:
    pool = await open_pool(max_tasks_per_child=1)
    await pool.ready()
    await pool.finish("ok")
    await pool.pool.drain(0)
    assert not any(pool.pool.toll.deaths.values())
    assert pool.pool.toll.replaced == 1
