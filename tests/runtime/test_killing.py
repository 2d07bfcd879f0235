"""Killed at any moment, the server finishes everything it has acknowledged, once."""

from __future__ import annotations

from pathlib import Path

from tests.runtime.killing import torture


async def test_kills_lose_nothing_double_nothing_and_leave_nothing(tmp_path: Path) -> None:
    report = await torture(tmp_path / "data", kills=3, batch=40, workers=2, seed=7)
    assert report.kills == 3
    assert report.acknowledged > 0
    assert report.faults == 0, report
