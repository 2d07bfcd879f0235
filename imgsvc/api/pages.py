"""What queries have in common: limits, choices, a name, the link to the next page."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, TypeVar

from aiohttp import web
from multidict import MultiMapping

from imgsvc.domain.input_names import MAX_NAME_CHARS
from imgsvc.errors import Fault, InvalidRequest
from imgsvc.intake.faults import pointer_to

E = TypeVar("E", bound=StrEnum)


class PageSize(NamedTuple):
    """How many items a page of a list may hold, and does where nothing is said."""

    most: int
    default: int


def check_query(query: MultiMapping[str], *known: str) -> None:
    """Raises InvalidRequest for a parameter that is not known, or given twice: what is
    misspelled must not look like an answer.
    """
    hint = f"; known: {', '.join(known)}" if known else ""
    unknown = [name for name in query if name not in known]
    faults = [Fault(pointer_to([name]), f"unknown parameter{hint}") for name in unknown]
    faults += [
        Fault(f"/{name}", "given twice") for name in known if len(query.getall(name, [])) > 1
    ]
    if faults:
        first = faults[0]
        raise InvalidRequest(f"{first.pointer[1:]}: {first.detail}.", tuple(faults[:100]))


def read_limit(query: Mapping[str, str], size: PageSize) -> int:
    """Empty counts as not given. Raises InvalidRequest for anything but 1 to `size.most`."""
    text = query.get("limit")
    most = size.most
    if not text:
        return size.default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise InvalidRequest.at("/limit", f"must be a whole number from 1 to {most}")
    return int(text)


def read_choice(query: Mapping[str, str], name: str, choices: type[E]) -> E | None:
    """None when it was not given, or empty. Raises InvalidRequest for anything unknown."""
    text = query.get(name)
    if not text:
        return None
    try:
        return choices(text)
    except ValueError as exc:
        raise InvalidRequest.at(f"/{name}", f"must be one of {', '.join(choices)}") from exc


def read_name(query: Mapping[str, str]) -> str | None:
    """Of the image that is the body; None when it was not given. Raises InvalidRequest for one that
    is too long.
    """
    name = query.get("name")
    if name is not None and len(name) > MAX_NAME_CHARS:
        raise InvalidRequest.at("/name", f"at most {MAX_NAME_CHARS} characters")
    return name


def link_next(request: web.Request, cursor: str) -> str:
    """The Link header (RFC 8288) that leads to the next page of the same list."""
    url = request.rel_url.update_query(cursor=cursor)
    return f'<{url}>; rel="next"'
