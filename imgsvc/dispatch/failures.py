"""What is said of an image whose task came to no outcome, or to none that helps."""

from __future__ import annotations

from imgsvc.domain.image import Image, SourceKind
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

_NOTHING_KEPT = "Nothing was kept of this image when it was sent."


def void(image: Image) -> Failure:
    """What a retry of an image that failed on the way in comes to: what it failed of then."""
    if image.last_error is not None:
        return image.last_error
    is_url = image.kind is SourceKind.URL
    code = ImageErrorCode.FETCH_BLOCKED if is_url else ImageErrorCode.EMPTY_IMAGE
    return Failure(code, _NOTHING_KEPT)


def exceeds_memory(cost_bytes: int, budget_bytes: int) -> Failure:
    """For a decode that would cost more than all workers share."""
    message = f"It needs {cost_bytes >> 20} MiB of memory; all workers share {budget_bytes >> 20}."
    return Failure(ImageErrorCode.OUT_OF_MEMORY, message)
