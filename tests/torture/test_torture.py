"""Killed at every step of its work, a server finishes what it has acknowledged, once.

`make torture` does the same with hundreds of kills, at every point and moment.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.torture.points import POINTS, Plan, make_schedule, make_short_schedule
from tests.torture.report import STEPS
from tests.torture.rounds import torture
from tests.torture.victim import Victim

SEED = 1


@pytest.mark.timeout(180)
async def test_kills_at_every_step_lose_nothing_double_nothing_and_leave_nothing(
    tmp_path: Path,
) -> None:
    schedule = make_short_schedule(random.Random(SEED))  # noqa: S311 - repeatable, not secret
    report = await torture(tmp_path, schedule, seed=SEED, lanes=2, workers=2)
    assert set(report.kills) == set(STEPS)
    assert report.acknowledged > 0
    assert report.finished == report.acknowledged
    assert report.faults == [], report.table()


def test_every_point_comes_before_any_comes_again() -> None:
    dice = random.Random(3)  # noqa: S311 - repeatable, not secret
    plans = [p for p in make_schedule(len(POINTS) + 5, dice) if isinstance(p, Plan)]
    assert sorted(plan.point for plan in plans) == sorted(POINTS)
    assert {point.step for point in POINTS.values()} < set(STEPS)


def test_the_look_for_survivors_sees_a_server_and_its_workers(tmp_path: Path) -> None:
    victim = Victim(tmp_path / "data", 2, {})
    assert victim.server is not None
    try:
        while len(victim.processes()) < 3:  # workers are started after the server listens
            os.sched_yield()
    finally:
        victim.server.stop()
    assert victim.count_survivors() == 0
