"""What happens to an image after a failed try: decided here, carried out elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from imgsvc.domain.rendering import Failure
from imgsvc.errors import ImageErrorCode


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay_s` seconds; `failure` stands as last_error meanwhile."""

    failure: Failure
    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The image has failed for good."""

    failure: Failure


def decide_retry(failure: Failure, last_error: Failure | None) -> Retry | GiveUp:
    """An image that crashed its worker is tried once more; everything else is final.

    last_error: what the try before ended with, if that one failed too.
    """
    if failure.code is ImageErrorCode.WORKER_CRASHED:
        crashed_before = last_error is not None and last_error.code is failure.code
        return GiveUp(failure) if crashed_before else Retry(failure, 0.0)
    return GiveUp(failure)
