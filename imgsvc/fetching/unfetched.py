"""How a try to fetch an image ends that does not bring one."""

from __future__ import annotations

from imgsvc.domain.rendering import Failure
from imgsvc.errors import ImageErrorCode


class Unfetched(Exception):
    """passes: whether another try may fare better.

    retry_after_s: how long the host wants to be left alone. left_alone_since_ms: since when
    the host is left alone that was not asked, milliseconds since 1970; None where it was asked.
    """

    def __init__(
        self,
        failure: Failure,
        *,
        passes: bool = False,
        retry_after_s: float | None = None,
        left_alone_since_ms: int | None = None,
    ) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.passes = passes
        self.retry_after_s = retry_after_s
        self.left_alone_since_ms = left_alone_since_ms


class LedOn(Exception):
    """The image is to be had at another host, which has not been asked."""

    def __init__(self, host: str) -> None:
        super().__init__(f"The image is to be had at {host}.")
        self.host = host


def fetch_failed(message: str, *, passes: bool = False) -> Unfetched:
    return Unfetched(Failure(ImageErrorCode.FETCH_FAILED, message), passes=passes)


def fetch_timeout(message: str) -> Unfetched:
    return Unfetched(Failure(ImageErrorCode.FETCH_TIMEOUT, message), passes=True)


def not_an_image(message: str) -> Unfetched:
    return Unfetched(Failure(ImageErrorCode.FETCH_NOT_IMAGE, message))
