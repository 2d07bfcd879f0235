"""What a job says of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsvc.domain.states import JobState
from tests.factories import make_job


@pytest.mark.parametrize(
    ("finished", "total", "progress"),
    [
        (0, 3, 0.0),
        (1, 3, 33.33),
        (9_999, 10_000, 99.99),
        (999_999, 1_000_000, 99.99),
        (7, 7, 100.0),
    ],
)
def test_progress_is_100_when_every_image_is_final_and_not_before(
    finished: int, total: int, progress: float
) -> None:
    assert replace(make_job(), completed=finished, total=total).progress == progress


@pytest.mark.parametrize(("state", "progress"), [("pending", 0.0), ("completed", 100.0)])
def test_a_job_without_images_is_at_100_once_it_has_ended(state: str, progress: float) -> None:
    assert replace(make_job(), state=JobState(state), total=0).progress == progress
