"""The space kept aside is taken anew once there is enough."""

from __future__ import annotations

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.telemetry.logs import get_logger
from imgsvc.upkeep.rounds import repeat

log = get_logger(__name__)

EVERY_S = 5.0


class KeptBallast:
    """reserve_bytes: free disk below which none is taken."""

    def __init__(self, blobs: BlobStore, *, reserve_bytes: int) -> None:
        self._blobs = blobs
        self._reserve_bytes = reserve_bytes
        self._trouble = ""

    async def run(self) -> None:
        await repeat(self.run_once, EVERY_S)

    async def run_once(self, _now: int) -> int:
        """Raises StorageFull when there was less than it seemed. Where a disk cannot set space
        aside all goes on without.
        """
        trouble = ""
        try:
            await self._blobs.keep_ballast(self._reserve_bytes)
        except OSError as exc:
            trouble = exc.strerror or str(exc)
            if trouble != self._trouble:
                log.warning("no_space_kept_aside", reason=trouble)
        self._trouble = trouble
        return 0
