"""What happens after a failed try."""

from __future__ import annotations

import pytest

from imgsvc.domain.rendering import Failure
from imgsvc.domain.retries import GiveUp, Retry, decide_retry
from imgsvc.errors import ImageErrorCode

CRASH = Failure(ImageErrorCode.WORKER_CRASHED, "died")


def test_a_first_crash_is_tried_again_at_once() -> None:
    assert decide_retry(CRASH, None) == Retry(CRASH, 0.0)


def test_a_second_crash_is_final() -> None:
    assert decide_retry(CRASH, CRASH) == GiveUp(CRASH)


def test_a_crash_after_another_trouble_is_the_first_one() -> None:
    earlier = Failure(ImageErrorCode.STORAGE_FULL, "full")
    assert isinstance(decide_retry(CRASH, earlier), Retry)


@pytest.mark.parametrize(
    "code",
    [
        ImageErrorCode.TIMEOUT,
        ImageErrorCode.CORRUPT_IMAGE,
        ImageErrorCode.UNSUPPORTED_FORMAT,
        ImageErrorCode.OUT_OF_MEMORY,
        ImageErrorCode.INTERNAL,
    ],
)
def test_other_failures_are_final_at_once(code: ImageErrorCode) -> None:
    failure = Failure(code, "")
    assert decide_retry(failure, None) == GiveUp(failure)
    assert decide_retry(failure, CRASH) == GiveUp(failure)
