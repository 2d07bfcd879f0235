"""What is said of an image whose task came to no outcome, or to none that helps."""

from __future__ import annotations

from imgsvc.domain.rendering import Failure, LossCause
from imgsvc.errors import ImageErrorCode

LOSSES = {
    LossCause.CRASHED: Failure(
        ImageErrorCode.WORKER_CRASHED, "The worker process died while it worked on this image."
    ),
    LossCause.TIMEOUT: Failure(
        ImageErrorCode.TIMEOUT, "The image was not finished before the deadline."
    ),
    LossCause.OUT_OF_MEMORY: Failure(
        ImageErrorCode.OUT_OF_MEMORY, "The image needs more memory than a worker may use."
    ),
}
"""An innocent loss is no failure: the task is done again."""


def exceeds_memory(cost_bytes: int, budget_bytes: int) -> Failure:
    """For a decode that would cost more than all workers share."""
    message = f"It needs {cost_bytes >> 20} MiB of memory; all workers share {budget_bytes >> 20}."
    return Failure(ImageErrorCode.OUT_OF_MEMORY, message)
