from __future__ import annotations

import time

import pytest

from imgsvc.domain.retry_after import read_retry_after

NOW_MS = 1_800_000_000_000
"""Fri, 15 Jan 2027 08:00:00 GMT"""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0), ("7", 7.0), (" 120 ", 120.0), ("9" * 5000, 999_999_999.0), ("", None),
        ("soon", None), ("-1", None), ("1.5", None), ("\u0663", None),
        ("Fri, 15 Jan 2027 08:00:12 GMT", 12.0), ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Friday, 15-Jan-27 08:00:12 GMT", 12.0), ("Fri Jan 15 08:00:12 2027", 12.0),
        ("Fri, 99 Jan 2027 08:00:12 GMT", None), ("Fri, 15 Jan 2027 08:00:12 -0000", 12.0),
        ("Fri, 15 Jan 99999999999999999999 08:00:12 GMT", None),
        ("Fri, 15 Jan 2027 08:00:12 +99999999999999", None),
        ("Mon, 01 Jan 0001 00:00:00 +1400", 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_all_its_forms(text: str, seconds: float | None) -> None:
    assert read_retry_after(text, NOW_MS) == seconds


def test_the_machine_s_time_zone_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert read_retry_after("Fri, 15 Jan 2027 08:00:12 -0000", NOW_MS) == 12.0
    finally:
        monkeypatch.undo()
        time.tzset()
