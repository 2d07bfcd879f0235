"""Every error imgsvc raises on purpose.

    ImgsvcError
    ├── StartError            the program cannot start: bad settings, port or folder taken
    ├── DatabaseBroken        the database was found damaged while in use: the program stops
    ├── RequestError          a request is refused as a whole; one subclass per code
    │   ├── MalformedRequest, NotFound, RequestTimeout, UnsupportedMediaType, NotAcceptable
    │   ├── InvalidRequest, InvalidRecipe, InvalidCsv, IdempotencyMismatch
    │   ├── PayloadTooLarge, TooManyImages
    │   ├── JobClosed, PresetReadonly, IdempotencyInProgress, NotReady
    │   ├── HostNotAllowed, Forbidden, Unauthorized, MethodNotAllowed
    │   └── RateLimited, QueueFull, ShuttingDown, StorageFull, Internal
    └── ImageError            one image cannot be made; its job goes on

Codes are stable and public. Messages are public too: never a path, never another
person's data. What status a code has over HTTP is known in `imgsvc.api` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Self


class ImgsvcError(Exception):
    """Root of the tree. `message` may be shown to anybody."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class StartError(ImgsvcError):
    """The program cannot start; the message says what to do."""


class DatabaseBroken(ImgsvcError):
    """The database is damaged, or its disk fails; the program cannot go on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong place in a request body: `pointer` is a JSON Pointer (RFC 6901)."""

    pointer: str
    detail: str


class RequestError(ImgsvcError):
    """A request that is refused as a whole."""

    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self, message: str, faults: tuple[Fault, ...] = (), *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.faults = faults
        self.retry_after_s = retry_after_s


class MalformedRequest(RequestError):
    code, title = "malformed_request", "The request cannot be read"


class Unauthorized(RequestError):
    code, title = "unauthorized", "A valid API key is needed"


class Forbidden(RequestError):
    code, title = "forbidden", "This request is not allowed"


class HostNotAllowed(RequestError):
    code, title = "host_not_allowed", "This host name is not served here"


class NotFound(RequestError):
    code, title = "not_found", "There is no such thing"


class MethodNotAllowed(RequestError):
    code, title = "method_not_allowed", "This method does not apply here"


class NotAcceptable(RequestError):
    code, title = "not_acceptable", "The answer cannot be given in the wanted form"


class RequestTimeout(RequestError):
    code, title = "request_timeout", "The request took too long to arrive"


class JobClosed(RequestError):
    code, title = "job_closed", "The job takes no more images"


class PresetReadonly(RequestError):
    code, title = "preset_readonly", "Built-in presets cannot be changed"


class IdempotencyInProgress(RequestError):
    code, title = "idempotency_in_progress", "The first request with this key still runs"


class IdempotencyMismatch(RequestError):
    code, title = "idempotency_mismatch", "This key was used with another payload"


class NotReady(RequestError):
    code, title = "not_ready", "The result is not ready yet"


class PayloadTooLarge(RequestError):
    code, title = "payload_too_large", "The request is too large"


class TooManyImages(RequestError):
    code, title = "too_many_images", "The job has too many images"


class UnsupportedMediaType(RequestError):
    code, title = "unsupported_media_type", "This kind of body is not understood here"


class InvalidRecipe(RequestError):
    code, title = "invalid_recipe", "The recipe is not valid"


class InvalidRequest(RequestError):
    code, title = "invalid_request", "The request is not valid"

    @classmethod
    def at(cls, pointer: str, detail: str) -> Self:
        """One wrong place, which the message names."""
        return cls(f"{pointer[1:]}: {detail.rstrip('.')}.", (Fault(pointer, detail),))


class InvalidCsv(RequestError):
    code, title = "invalid_csv", "The CSV file is not valid"


class RateLimited(RequestError):
    code, title = "rate_limited", "Too many requests"


class QueueFull(RequestError):
    code, title = "queue_full", "Too many images are waiting"


class ShuttingDown(RequestError):
    code, title = "shutting_down", "The server is stopping"


class StorageFull(RequestError):
    code, title = "storage_full", "There is not enough free disk space"


class Internal(RequestError):
    code, title = "internal", "Something went wrong inside the server"


class ImageErrorCode(StrEnum):
    """Why one image failed."""

    UNSUPPORTED_FORMAT = "unsupported_format"
    CORRUPT_IMAGE = "corrupt_image"
    EMPTY_IMAGE = "empty_image"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    OUTPUT_TOO_LARGE = "output_too_large"
    INVALID_DATA = "invalid_data"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    WORKER_CRASHED = "worker_crashed"
    FETCH_FAILED = "fetch_failed"
    FETCH_BLOCKED = "fetch_blocked"
    FETCH_TIMEOUT = "fetch_timeout"
    FETCH_NOT_IMAGE = "fetch_not_image"
    STORAGE_FULL = "storage_full"
    INTERNAL = "internal"


class WarningCode(StrEnum):
    """What was done otherwise than asked, although the image was made."""

    PROFILE_ASSUMED = "profile_assumed"
    QUALITY_IGNORED = "quality_ignored"
    ANIMATION_DROPPED = "animation_dropped"
    NOT_ENLARGED = "not_enlarged"
    MAX_BYTES_MISSED = "max_bytes_missed"
    METADATA_DROPPED = "metadata_dropped"


class ImageError(ImgsvcError):
    """One image cannot be made. Crosses the process boundary as data, not raised."""

    title: ClassVar[str] = "The image cannot be made"

    def __init__(self, code: ImageErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
