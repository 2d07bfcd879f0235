"""Which addresses may be asked, as far as it is seen before anybody resolves a name."""

from __future__ import annotations

import pytest

from imgsvc.net.guard import Bar, Blocked, Guard
from imgsvc.net.public_addresses import is_public

INSIDE = [
    "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "127.0.0.1", "127.8.8.8",
    "169.254.0.1", "169.254.169.254", "168.63.129.16", "172.16.0.1", "172.31.255.255", "192.0.0.1",
    "192.0.0.8", "192.0.0.9", "192.0.0.10", "192.0.2.1", "::ffff:168.63.129.16",
    "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::10.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1",
    "64:ff9b:1::1", "64:ff9b:1:ffff::8.8.8.8", "100::1", "2001:0:7f00:1::", "2001::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1", "2002:7f00:1::",
    "2002:a9fe:a9fe::1", "2002:c0a8:1::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fdff::1",
    "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1",
    "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1", "fe80::5efe:7f00:1",
]  # fmt: skip

OUTSIDE = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "192.169.0.1", "2606:4700::1111",
    "2001:4860:4860::8888", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8",
    "2606:4700::5efe:808:808",
]  # fmt: skip

REFUSED = [
    "", " ", "//127.0.0.1/", "/etc/passwd", "file:///etc/passwd", "ftp://example.org/a.jpg",
    "gopher://example.org/", "data:image/png;base64,AAAA", "javascript:alert(1)",
    "http://", "http:///a.jpg", "http:a.jpg", "http://user@example.org/",
    "http://user:word@example.org/", "http://@example.org/", "http://:@example.org/",
    "http://example.org@127.0.0.1/", "http://example.org:22/", "http://example.org:25/",
    "http://example.org:6379/", "http://example.org:5432/", "http://example.org:11211/",
    "http://example.org:0/", "http://example.org:65536/", "http://example.org:x/",
    "http://example.org:-1/", "http://exa mple.org/", "http://example.org/a b", "http://[::1/",
    "http://].[a@", "http://example.org\\@127.0.0.1/", "http://example.org/\r\nHost: inside",
    "http://example.org/\x00", "http://" + "a" * 9000,
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_no_plain_web_address_is_refused_unasked(url: str) -> None:
    with pytest.raises(Blocked):
        Guard(allow_private=True).check_url(url)


@pytest.mark.parametrize(
    ("url", "bar"),
    [
        ("http://[::1/", Bar.URL), ("http:///a.jpg", Bar.URL), ("http://a b/", Bar.BLANK),
        ("http://0x7f.1/", Bar.NUMBER), ("http://%31.example/", Bar.URL),
        ("http://[fe80::1%25\udcff]/", Bar.URL), ("http://h/a b.jpg", Bar.BLANK),
        ("http://2130706433:18201/", Bar.NUMBER), ("http://127.1/", Bar.NUMBER),
        ("http://127.0.0.01/", Bar.NUMBER), ("http://h/" + "a b" * 4000, Bar.URL),
        ("", Bar.SCHEME), ("ftp://example.org/", Bar.SCHEME),
        ("http://user@example.org/", Bar.LOGIN), ("http://:@example.org/", Bar.LOGIN),
        ("http://example.org:0/", Bar.URL), ("http://example.org:22/", Bar.PORT),
        ("http://example.org:6379/", Bar.PORT),
        ("http://example.net/", Bar.HOST), ("http://localhost/", Bar.ADDRESS),
    ],
)  # fmt: skip
def test_it_is_known_what_is_wrong(url: str, bar: Bar) -> None:
    with pytest.raises(Blocked) as caught:
        Guard(allowed_hosts=("example.org",)).check_url(url)
    assert caught.value.bar is bar


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.jpg", "https://example.org", "https://example.org:8443/x?y=%20#z",
        "HTTP://Example.ORG/a", "http://ex\u00e4mple.org/\u00e4", "http://93.184.216.34/",
        "http://[2606:4700::1111]:3000/",
    ],
)  # fmt: skip
def test_plain_web_addresses_pass(url: str) -> None:
    assert Guard().check_url(url).host


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        ("example.org", True), ("EXAMPLE.org", True), ("example.org.", True),
        ("cdn.example.net", True), ("a.b.example.net", True), ("example.net", True),
        ("sub.example.org", False), ("badexample.net", False), ("example.org.evil.com", False),
    ],
)  # fmt: skip
def test_only_allowed_hosts_are_asked(host: str, passes: bool) -> None:
    guard = Guard(allowed_hosts=("example.org", ".example.net"))
    if passes:
        assert guard.check_url(f"http://{host}/a.jpg")
    else:
        with pytest.raises(Blocked):
            guard.check_url(f"http://{host}/a.jpg")
