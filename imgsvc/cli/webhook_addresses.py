"""Which webhooks are sent something: a server says so only when it comes to that."""

from __future__ import annotations

from contextlib import suppress

from imgsvc.cli.output import say
from imgsvc.net.guard import Blocked, Guard


def say_if_not_asked(webhook: str | None, job_id: str) -> None:
    if webhook and not is_asked_by_default(webhook):
        say(
            "A webhook at an address that is not public is sent nothing unless the server is set "
            "to do so, and one at a port of other services never. What became of its messages: "
            f"imgsvc deliveries {job_id}"
        )


def is_asked_by_default(url: str) -> bool:
    """Whether a server that is set up as it comes asks it, as far as is seen without a lookup."""
    guard = Guard()
    try:
        host = guard.check_url(url).raw_host or ""
        with suppress(ValueError):  # a name
            guard.check_address(host)
    except Blocked:
        return False
    return True
