"""Webhooks: whom a job tells of its progress, and what became of each message."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets begin, and none
MIN_SECRET_BYTES = 24
MAX_SECRET_BYTES = 64


class WebhookEvent(StrEnum):
    JOB_FINISHED = "job.finished"
    IMAGE_FINISHED = "image.finished"


class DeliveryState(StrEnum):
    """failed: given up after the last try. disabled: the receiver wants no more messages."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DISABLED = "disabled"


class DeliveryError(StrEnum):
    """Why a try to deliver came to nothing."""

    BLOCKED = "blocked"
    TIMEOUT = "timeout"
    CONNECTION_FAILED = "connection_failed"
    TLS_FAILED = "tls_failed"
    HTTP_STATUS = "http_status"
    REDIRECTED = "redirected"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Webhook:
    """secret: of this job alone; None where the server's own are used. base_url: what links
    in messages begin with.
    """

    url: str
    events: frozenset[WebhookEvent]
    secret: str | None
    base_url: str

    @property
    def receiver(self) -> str:
        """Host and port as the URL names them: deliveries to one receiver take turns."""
        return urlsplit(self.url).netloc.lower()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one receiver. Times are milliseconds since 1970.

    id: also the message's own, the same for every try. attempts: tries that have ended, since
    it was made or last taken up by hand. next_at: None unless pending. last_status: the
    receiver's HTTP status; None where there was no answer.
    """

    id: str
    job_id: str
    event: WebhookEvent
    receiver: str
    state: DeliveryState
    attempts: int
    next_at: int | None
    last_status: int | None
    last_error: DeliveryError | None
    created_at: int
    delivered_at: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a try to deliver came to. next_at: of the next try; None when it was the last.

    state: as in Delivery, after it.
    """

    state: DeliveryState
    status: int | None
    error: DeliveryError | None = None
    next_at: int | None = None


def check_secret(text: str) -> str:
    """The secret as it is. Raises ValueError, which does not hold it.

    Standard Webhooks: `whsec_` and 24 to 64 random bytes in base64.
    """
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not (text.startswith(SECRET_PREFIX) and MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES):
        raise ValueError(
            f"Must be {SECRET_PREFIX} and {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64."
        )
    return text
