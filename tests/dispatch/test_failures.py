from __future__ import annotations

import pytest

from imgsvc.dispatch.failures import void
from imgsvc.domain.image import SourceKind
from imgsvc.domain.rendering import Failure
from imgsvc.errors import ImageErrorCode
from tests.factories import make_image


def test_what_failed_on_the_way_in_fails_of_the_same_again() -> None:
    failure = Failure(ImageErrorCode.TOO_MANY_BYTES, "It is too large.")
    assert void(make_image(last_error=failure)) == failure


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (SourceKind.UPLOAD, "empty_image"),
        (SourceKind.BASE64, "empty_image"),
        (SourceKind.URL, "fetch_blocked"),
    ],
)
def test_after_a_cancel_it_fails_of_having_nothing(kind: SourceKind, code: str) -> None:
    assert void(make_image(kind=kind, last_error=None)).code == code
