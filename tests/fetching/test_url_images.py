"""What becomes of a URL before anybody is asked."""

from __future__ import annotations

import pytest

from imgsvc.errors import ImageErrorCode
from imgsvc.fetching.url_images import blocked, url_image
from imgsvc.net.guard import Bar


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Example.ORG/a.jpg", "example.org"),
        ("https://example.org:443/a.jpg", "example.org"),
        ("http://example.org.:80/", "example.org"),
        ("http://example.org:8080/", "example.org:8080"),
        ("https://b\u00fccher.example/", "xn--bcher-kva.example"),
        ("http://127.0.0.1:9000/", "127.0.0.1:9000"),
        ("http://[::1]/", "[::1]"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ],
)
def test_hosts_are_told_apart_by_name_and_port(url: str, host: str) -> None:
    image = url_image(url, "a.jpg")
    assert (image.fetch_host, image.url, image.name, image.failure) == (host, url, "a.jpg", None)
    assert (image.size_bytes, image.sha256) == (None, None)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        ("ftp://example.org/a.jpg", "ftp://example.org/a.jpg"),
        ("file:///etc/passwd", "file:///etc/passwd"),
        ("http://user:word@example.org/", "http://***@example.org/"),
        ("http://[::1", "http://[::1"),
        ("http://example.org/\0", "http://example.org/\ufffd"),
        ("http://example.org/\ud800", "http://example.org/?"),
        ("http://example.org/" + "a" * 8192, None),
    ],
)
def test_what_nobody_can_be_asked_for_has_failed(url: str, shown: str | None) -> None:
    image = url_image(url, None)
    assert image.failure is not None
    assert image.failure.code is ImageErrorCode.FETCH_BLOCKED
    assert (image.url, image.fetch_host) == (shown, None)


def test_the_message_says_what_is_wrong() -> None:
    image = url_image("http://example.org:22/a.jpg", None)
    assert image.failure == blocked(Bar.PORT)
    assert image.failure.message == "Only the ports 80, 443 and most from 1024 on are asked."
    image = url_image("http://example.org/a b.jpg", None)
    assert image.failure == blocked(Bar.BLANK)
    assert "write a blank as %20" in image.failure.message
    image = url_image("http://2130706433:18201/a.jpg", None)
    assert image.failure == blocked(Bar.NUMBER)
    assert "127" not in image.failure.message
    assert len({blocked(bar).message for bar in Bar}) == len(Bar)
