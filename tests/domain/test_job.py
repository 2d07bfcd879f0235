"""What a job says of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsvc.domain.states import JobState
from tests.factories import make_job


@pytest.mark.parametrize("total", [1, 3, 7, 10_000, 1_000_000])
def test_progress_is_100_when_every_image_is_final_and_not_before(total: int) -> None:
    job = replace(make_job(), total=total)
    assert job.progress == 0.0
    assert replace(job, completed=total - 1).progress < 100.0
    assert replace(job, completed=total - 1, failed=1).progress == 100.0


@pytest.mark.parametrize(("state", "progress"), [("pending", 0.0), ("completed", 100.0)])
def test_a_job_without_images_is_at_100_once_it_has_ended(state: str, progress: float) -> None:
    assert replace(make_job(), state=JobState(state), total=0).progress == progress
