"""What a host's answer means, as far as its status and headers tell."""

from __future__ import annotations

from collections.abc import Mapping

from imgsvc.domain.rendering import Failure
from imgsvc.domain.retry_after import read_retry_after
from imgsvc.errors import ImageErrorCode
from imgsvc.fetching.unfetched import Unfetched, fetch_failed, not_an_image
from imgsvc.intake.reception import too_many_bytes

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({429})
"""Refusals that may pass, besides every 5xx."""

_UNTOLD_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream"})
"""What hosts say that do not know better: then the bytes tell."""


def find_redirect(status: int, headers: Mapping[str, str]) -> str | None:
    """Where else to look, as the host spells it; None where the answer is here."""
    return headers.get("Location", "").strip() or None if status in _REDIRECTS else None


def check_answer(
    status: int, headers: Mapping[str, str], *, max_image_bytes: int, now_ms: int
) -> None:
    """Raises Unfetched when what follows is no image that is wanted."""
    if not 200 <= status < 300:
        raise _refusal(status, headers, now_ms)
    media_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not media_type.startswith("image/") and media_type not in _UNTOLD_TYPES:
        raise not_an_image("The host's answer is not an image by its Content-Type.")
    if headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
        # unasked, and unpacking is how a small answer becomes a large one
        raise fetch_failed("The host sent the image packed, although it was asked not to.")
    length = headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > max_image_bytes:
        raise Unfetched(too_many_bytes(max_image_bytes))


def _refusal(status: int, headers: Mapping[str, str], now_ms: int) -> Unfetched:
    return Unfetched(
        Failure(ImageErrorCode.FETCH_FAILED, f"The host answered with status {status}."),
        passes=status in _PASSING or status >= 500,
        retry_after_s=read_retry_after(headers.get("Retry-After", ""), now_ms),
    )
