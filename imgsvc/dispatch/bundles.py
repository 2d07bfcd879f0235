"""How many images go to a worker in one call.

One call costs the server about as much as rendering a tiny image. So images that are
predicted to be quick travel together, but never for longer than a glance: another job's
turn waits behind a bundle, and a crash makes its innocent neighbours start again.
"""

from __future__ import annotations

from collections.abc import Sequence

from imgsvc.dispatch.pieces import Piece
from imgsvc.domain.retries import MAX_INNOCENT

MAX_IMAGES = 8
MAX_BYTES = 512 << 10
TARGET_MS = 100.0
"""A bundle is meant to take about this long."""

_MEMORY = 0.2
"""Weight of the newest image in a job's running mean."""


class Pace:
    """The running mean of how long one job's images take, in milliseconds each."""

    def __init__(self) -> None:
        self._mean_ms: dict[str, float] = {}

    def learn(self, job_id: str, duration_ms: float) -> None:
        before = self._mean_ms.get(job_id, duration_ms)
        self._mean_ms[job_id] = before + _MEMORY * (duration_ms - before)

    def forget(self, job_id: str) -> None:
        self._mean_ms.pop(job_id, None)

    def bundle_size(self, job_id: str) -> int:
        """How many images of this job fit a bundle; 1 until something is known."""
        mean_ms = self._mean_ms.get(job_id)
        if mean_ms is None:
            return 1
        return max(1, min(MAX_IMAGES, int(TARGET_MS / max(mean_ms, 0.1))))


def split_bundles(pieces: Sequence[Piece], most: int) -> list[list[Piece]]:
    """Cut images of one job, in order, into bundles of at most `most`.

    A file too large to be surely quick, and one that has failed a try, is known to need much
    memory, or may be what the server or its workers die of, travels alone.
    """
    bundles: list[list[Piece]] = []
    open_bytes = MAX_BYTES + 1
    for piece in pieces:
        image = piece.image
        size = image.size_bytes or 0
        alone = (
            image.last_error is not None
            or image.memory_bytes is not None
            or image.is_suspect
            or image.claim > MAX_INNOCENT
        )
        joins = bundles and len(bundles[-1]) < most and open_bytes + size <= MAX_BYTES
        if joins and not alone:
            bundles[-1].append(piece)
            open_bytes += size
        else:
            bundles.append([piece])
            open_bytes = MAX_BYTES + 1 if alone else size
    return bundles
