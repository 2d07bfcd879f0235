"""A job: one submission of images with one recipe."""

from __future__ import annotations

from dataclasses import dataclass

from imgsvc.domain.image import Image
from imgsvc.domain.product_list import ProductList
from imgsvc.domain.states import JobState, Priority
from imgsvc.domain.webhook import Webhook, WebhookEvent

MAX_LABEL_CHARS = 200
MAX_RETAIN_S = 100 * 366 * 86_400
"""A hundred years: longer ends in dates that cannot be written."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job as it is submitted.

    recipe: canonical JSON; preset: the name it came from, None for an own recipe.
    source: api | page | cli | watch | csv | batch …
    open: more images will be appended.
    hidden: not shown to anybody yet; it becomes visible, or vanishes, with the end of
        the request that submits it.
    retain_s: seconds to keep it after its end; 0 keeps for ever.
    reuse: take outputs over from earlier images with the same bytes.
    analyze: say of every image what it is like.
    webhook: whom to tell of it; None for nobody.
    product_list: the table that its images came in; None for any other submit.
    """

    id: str
    recipe: str
    preset: str | None
    label: str | None
    priority: Priority
    source: str
    open: bool
    hidden: bool
    retain_s: int
    reuse: bool = True
    analyze: bool = True
    webhook: Webhook | None = None
    product_list: ProductList | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the store knows it. Times are milliseconds since 1970.

    seq: rises with every change to the job or to one of its images.
    expires_at: None until it is final, and for ever when retain_s is 0.
    input_bytes: sum of what was received; output_bytes: sum of the finished files.
    remaining_ms: sum of `cost_ms` of the images that are not final.
    unfetched: how many images wait for their bytes from a host, or are being fetched.
    announces: what its webhook is told; empty where it has none.
    """

    id: str
    state: JobState
    label: str | None
    priority: Priority
    preset: str | None
    recipe: str
    open: bool
    hidden: bool
    source: str
    total: int
    completed: int
    failed: int
    cancelled: int
    input_bytes: int
    output_bytes: int
    errors: dict[str, int]
    reuse: bool
    analyze: bool
    retain_s: int
    remaining_ms: int
    seq: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    expires_at: int | None
    announces: frozenset[WebhookEvent] = frozenset()
    unfetched: int = 0

    @property
    def finished_images(self) -> int:
        return self.completed + self.failed + self.cancelled

    @property
    def progress(self) -> float:
        """Percentage from 0.0 to 100.0 of images in a final state, not rounded, so that 100.0
        means all; an empty job that has ended is at 100.
        """
        if self.total == 0:
            return 100.0 if self.state.is_final else 0.0
        return 100.0 * self.finished_images / self.total


@dataclass(frozen=True, slots=True)
class ImageChange:
    """An image right after a change; `seq` is the job's number for that change."""

    seq: int
    image: Image


@dataclass(frozen=True, slots=True)
class JobChange:
    """What one commit did to one job: `job` as it is after it, and its changed images.

    `job.seq` is greater than every image's seq. deleted: the job is gone.
    """

    job: Job
    images: tuple[ImageChange, ...] = ()
    deleted: bool = False
