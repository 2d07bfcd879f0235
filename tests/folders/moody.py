"""Renderers that do not do at once what they are asked to."""

from __future__ import annotations

import signal

from imgsvc.domain.rendering import Failure, Outcome, RenderFailed, RenderTask
from imgsvc.errors import ImageErrorCode
from imgsvc.workers.child import render_image


def fail_at_first(task: RenderTask) -> Outcome:
    """Every image's first try."""
    if task.key.claim == 1:
        return RenderFailed(Failure(ImageErrorCode.TIMEOUT, "It took too long."), None, 1)
    return render_image(task)


def hang(_task: RenderTask) -> Outcome:
    while True:
        signal.pause()
