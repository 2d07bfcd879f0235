"""A store, a receiver on loopback, and a clock that stands still unless it is set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from imgsvc.api.documents import job_document
from imgsvc.domain.job import Job
from imgsvc.domain.webhook import Webhook, WebhookEvent
from imgsvc.progress.pace import Paces
from imgsvc.store.store import Store
from imgsvc.webhooks.deliverer import Deliverer
from imgsvc.webhooks.sender import Sender, open_sender
from tests.receivers import SECRET, Receiver, open_receiver
from tests.store.builders import claim, create, failed, made

BASE_URL = "https://images.example"


class Clock:
    """Milliseconds since 1970."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "imgsvc.db")
    yield store
    await store.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as running:
        yield running


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    async with open_sender(allow_private=True, timeout_s=5, connections=8) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


MakeDeliverer = Callable[..., Deliverer]


@pytest.fixture
def make_deliverer(store: Store, sender: Sender, clock: Clock) -> MakeDeliverer:
    def make(**changes: Any) -> Deliverer:
        settings: dict[str, Any] = {"secrets": (SECRET,), "max_tries": 10, "clock": clock}
        return Deliverer(
            store, sender, lambda job: job_document(job, Paces()), **settings | changes
        )

    return make


@pytest.fixture
def deliverer(make_deliverer: MakeDeliverer) -> Deliverer:
    return make_deliverer()


def hook(url: str, *events: str, secret: str | None = None) -> Webhook:
    """events: job.finished unless others are named."""
    wanted = frozenset(map(WebhookEvent, events)) or frozenset({WebhookEvent.JOB_FINISHED})
    return Webhook(url, wanted, secret, BASE_URL)


async def finish(store: Store, webhook: Webhook, *, fails: bool = False, **fields: Any) -> Job:
    """A job of one image that has ended."""
    job = await create(store, 1, webhook=webhook, **fields)
    (image,) = await claim(store, job)
    await store.finish_images([failed(image) if fails else made(image)], 3_000)
    return await store.job(job.id)
