"""What happens to an image after a failed try: decided here, carried out elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from imgsvc.domain.rendering import Failure
from imgsvc.errors import ImageErrorCode

FETCH_DELAYS_S = (1.0, 4.0)
"""After the first and the second try to fetch; a third one that fails is the last."""

MAX_RETRY_AFTER_S = 30.0
"""A host that wants more patience than this is asked again earlier."""

MAX_LEFT_ALONE_S = 120.0
"""An image that has waited so long for a host to be asked again waits no longer."""

STORAGE_DELAY_S = 1.0

DEATH_AT_WORK = 4
"""The server died while a worker was at an image. That counts for so many deaths in which none was
at it, as it seems: it waited behind another one, or was made already. These count too, since a
hijacked worker can make it seem so.
"""

SUSPECT_AFTER = 2 * DEATH_AT_WORK
"""So many deaths of the server, others being with the workers too; from then on the image is tried
with nothing beside it.
"""

MAX_DEATHS_ALONE = 3
"""The server has died so often while a worker was at that image, alone, that it is no accident: it
has failed. Where servers die for other reasons, few good images are met so even twice.
"""

MAX_INTERRUPTIONS = SUSPECT_AFTER + MAX_DEATHS_ALONE * DEATH_AT_WORK

MAX_INNOCENT = 4
"""Dispatches of an image that may come to nothing while nobody asks why. From then on it travels
alone, and is blamed when a worker that has it dies without having said what it was at.
"""

TOOK_THE_SERVER_DOWN = Failure(
    ImageErrorCode.WORKER_CRASHED, "The server died each time it worked on this image."
)

LONGEST_DELAY_S = MAX_RETRY_AFTER_S
"""No image waits longer for its next try by these rules."""

_FETCHING = frozenset({ImageErrorCode.FETCH_FAILED, ImageErrorCode.FETCH_TIMEOUT})


@dataclass(frozen=True, slots=True)
class Trouble:
    """A try that failed.

    attempts: tries begun, this one among them. has_crashed: whether an earlier one ended with the
    death of its worker. passes: whether the failure may be another one's fault and pass, as a
    network's or a 5xx does and a 404 does not. retry_after_s: what the host asked for.
    left_alone_s: how long the image has waited already for a host that is left alone, and was
    not asked this time either; None where it was.
    """

    failure: Failure
    attempts: int
    has_crashed: bool = False
    passes: bool = True
    retry_after_s: float | None = None
    left_alone_s: float | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay_s` seconds; `failure` stands as last_error meanwhile.

    counts: whether the try that failed counts as an attempt.
    """

    failure: Failure
    delay_s: float
    counts: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The image has failed for good. counts: as in Retry."""

    failure: Failure
    counts: bool = True


def decide_retry(trouble: Trouble, chance: float) -> Retry | GiveUp:
    """chance: from 0 to 1, spreads the tries of many images."""
    failure = trouble.failure
    if failure.code is ImageErrorCode.STORAGE_FULL:
        return Retry(failure, STORAGE_DELAY_S, counts=False)
    if failure.code is ImageErrorCode.WORKER_CRASHED:
        return GiveUp(failure) if trouble.has_crashed else Retry(failure, 0.0)
    if trouble.left_alone_s is not None:
        if trouble.left_alone_s < MAX_LEFT_ALONE_S:
            return Retry(failure, 0.0, counts=False)
        return GiveUp(failure, counts=False)
    if failure.code in _FETCHING and trouble.passes and trouble.attempts <= len(FETCH_DELAYS_S):
        return Retry(failure, _fetch_delay_s(trouble, chance))
    return GiveUp(failure)


def _fetch_delay_s(trouble: Trouble, chance: float) -> float:
    """A quarter more or less than planned, and no earlier than the host asked for."""
    planned_s = FETCH_DELAYS_S[trouble.attempts - 1] * (0.75 + chance / 2)
    return max(planned_s, min(trouble.retry_after_s or 0.0, MAX_RETRY_AFTER_S))
