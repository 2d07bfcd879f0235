"""An image given by URL, as it is before anybody was asked for it."""

from __future__ import annotations

from imgsvc.domain.ids import new_id
from imgsvc.domain.image import NewImage, SourceKind
from imgsvc.domain.logins import without_login
from imgsvc.domain.picture import Picture
from imgsvc.domain.rendering import Failure
from imgsvc.errors import ImageErrorCode
from imgsvc.net.guard import MAX_URL_CHARS, Bar, Blocked, find_host

_GUESS = Picture("jpeg", 1600, 1200)
"""What it costs is told by this until its first bytes are there."""


_WHY_BLOCKED = {
    Bar.URL: "Only valid web addresses are asked for.",
    Bar.BLANK: "Only URLs without blanks are asked for: within one, write a blank as %20.",
    Bar.NUMBER: "A host that is a number is asked only if it is written as 192.0.2.1 is.",
    Bar.SCHEME: "Only http and https URLs are asked for.",
    Bar.LOGIN: "Only URLs without a user and a password are asked for.",
    Bar.PORT: "Only the ports 80, 443 and most from 1024 on are asked.",
    Bar.HOST: "Only the hosts of fetch.allowed_hosts are asked.",
    Bar.ADDRESS: "Only public addresses are asked while fetch.allow_private is off.",
}
"""As true of a URL as of what it redirects to."""


def blocked(bar: Bar) -> Failure:
    return Failure(ImageErrorCode.FETCH_BLOCKED, _WHY_BLOCKED[bar])


def url_image(url: str, name: str | None, max_bytes: int | None = None) -> NewImage:
    """What is no plain web address is an image that has failed.

    name: as it is to be stored; None becomes `image-<index>`. max_bytes: what it may have;
    None for the server's own limit.
    """
    shown = _show(url)
    try:
        host = find_host(url)
        if shown != url:
            raise Blocked(Bar.URL)  # noqa: TRY301
    except Blocked as exc:
        return NewImage(
            new_id(),
            name,
            SourceKind.URL,
            url=shown and without_login(shown),
            failure=blocked(exc.bar),
        )
    return NewImage(
        new_id(),
        name,
        SourceKind.URL,
        url=url,
        picture=_GUESS,
        fetch_host=host,
        fetch_max_bytes=max_bytes,
    )


def _show(url: str) -> str | None:
    """A URL as far as it can be stored; None for one that is too long."""
    if len(url) > MAX_URL_CHARS:
        return None
    return url.encode(errors="replace").decode().replace("\0", "\ufffd")
