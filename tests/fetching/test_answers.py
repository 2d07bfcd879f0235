"""What an answer's status and headers mean."""

from __future__ import annotations

import pytest

from imgsvc.errors import ImageErrorCode
from imgsvc.fetching.answers import check_answer, find_redirect
from imgsvc.fetching.unfetched import Unfetched

NOW_MS = 1_800_000_000_000  # 2027-01-15T08:00:00Z


def judge(status: int = 200, **headers: str) -> tuple[str, bool] | None:
    """The failure's code, and whether it may pass; None for an image that is wanted."""
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        check_answer(status, spelled, max_image_bytes=1000, now_ms=NOW_MS)
    except Unfetched as exc:
        return exc.failure.code, exc.passes
    return None


@pytest.mark.parametrize("status", [200, 201, 203, 206])
def test_success_is_taken(status: int) -> None:
    assert judge(status) is None


@pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 410, 418, 451])
def test_a_refusal_is_final(status: int) -> None:
    assert judge(status) == (ImageErrorCode.FETCH_FAILED, False)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert judge(status) == (ImageErrorCode.FETCH_FAILED, True)


@pytest.mark.parametrize(
    "media_type",
    [
        "image/jpeg", "IMAGE/PNG", "image/x-whatever; q=1", " image/webp ", "",
        "application/octet-stream", "binary/octet-stream;charset=utf-8",
    ],
)  # fmt: skip
def test_images_and_types_that_tell_nothing_are_taken(media_type: str) -> None:
    assert judge(Content_Type=media_type) is None


@pytest.mark.parametrize(
    "media_type", ["text/html", "application/json", "text/plain; x=image/png", "imagery/jpeg"]
)
def test_any_other_type_is_no_image(media_type: str) -> None:
    assert judge(Content_Type=media_type) == (ImageErrorCode.FETCH_NOT_IMAGE, False)


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x-unknown"])
def test_packed_bodies_are_not_unpacked(coding: str) -> None:
    assert judge(Content_Encoding=coding) == (ImageErrorCode.FETCH_FAILED, False)
    assert judge(Content_Encoding="Identity") is None


def test_a_length_beyond_the_limit_is_refused_before_the_first_byte() -> None:
    assert judge(Content_Length="1000") is None
    assert judge(Content_Length="1001") == (ImageErrorCode.TOO_MANY_BYTES, False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_says_where_else_to_look(status: int) -> None:
    assert find_redirect(status, {"Location": " /b.jpg "}) == "/b.jpg"


@pytest.mark.parametrize(
    ("status", "headers"), [(302, {}), (302, {"Location": " "}), (200, {"Location": "/b.jpg"})]
)
def test_what_leads_nowhere_is_no_redirect(status: int, headers: dict[str, str]) -> None:
    assert find_redirect(status, headers) is None
