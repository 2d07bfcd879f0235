"""What the store is compared with: jobs and images in plain Python."""

from __future__ import annotations

from dataclasses import dataclass, field

from imgsvc.domain.rendering import Failure
from imgsvc.domain.states import ImageState, JobState, Priority, final_job_state
from tests.store.builders import COST_MS

WAITING = (ImageState.PENDING, ImageState.FETCHING, ImageState.PROCESSING)


@dataclass
class ModelImage:
    """host: where the bytes are to come from. fetch_at: from when on, 0 for at once; None when
    they are there, or nobody wants them. is_void: they never came.
    """

    state: ImageState = ImageState.PENDING
    attempts: int = 0
    claim: int = 0
    error: Failure | None = None
    last_error: Failure | None = None
    has_crashed: bool = False
    not_before: int | None = None
    host: str | None = None
    size_bytes: int = 10
    fetch_at: int | None = None
    cost_ms: int = COST_MS
    is_void: bool = False

    @property
    def lacks_bytes(self) -> bool:
        return self.host is not None and not self.size_bytes

    def can_be_fetched(self) -> bool:
        return self.state is ImageState.PENDING and self.fetch_at == 0


@dataclass
class ModelJob:
    open: bool
    hidden: bool
    priority: Priority = Priority.NORMAL
    images: list[ModelImage] = field(default_factory=list)
    state: JobState = JobState.PENDING
    seq: int = 1
    finished_at: int | None = None

    def count(self, state: ImageState) -> int:
        return sum(image.state is state for image in self.images)

    def waiting(self) -> list[ModelImage]:
        return [image for image in self.images if image.state in WAITING]

    def changed(self, images: int, now_ms: int) -> None:
        """The job follows `images` changed images."""
        self.seq += images + 1
        self.settle(now_ms)

    def start(self, images: int, now_ms: int) -> None:
        """As `changed`, of images that are worked on from now on."""
        self.state = JobState.PROCESSING
        self.changed(images, now_ms)

    def settle(self, now_ms: int) -> None:
        if not self.open and not self.waiting() and not self.state.is_final:
            self.finished_at = now_ms
            self.state = final_job_state(
                total=len(self.images),
                completed=self.count(ImageState.COMPLETED),
                failed=self.count(ImageState.FAILED),
                cancelled=self.count(ImageState.CANCELLED),
            )
