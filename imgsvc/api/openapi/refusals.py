"""How requests are refused: problem documents, by the codes that an operation may answer with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from imgsvc import errors
from imgsvc.api.openapi.responses import REQUEST_ID, RETRY_AFTER
from imgsvc.api.openapi.vocabulary import (
    TEXT,
    Schema,
    array,
    choice,
    record,
    ref,
    said,
)
from imgsvc.api.problems import IMAGE_STATUSES, STATUSES, problem_document
from imgsvc.errors import ImageError, ImageErrorCode, RequestError

_ALL_STATUSES = STATUSES | IMAGE_STATUSES
_WITH_RETRY_AFTER = frozenset({429, 503})

PROBLEM = said(
    record(
        type={"type": "string", "format": "uri", "pattern": "^urn:imgsvc:problem:"},
        title=said(TEXT, "The same for every problem of this code."),
        status={"type": "integer", "minimum": 400, "maximum": 599},
        detail=said(TEXT, "What is wrong with this request."),
        instance=said(TEXT, "The path that was asked for."),
        code=choice(_ALL_STATUSES),
        errors=said(
            array(record(pointer=said(TEXT, "A JSON Pointer."), detail=TEXT)),
            "Every wrong place, where there are places.",
        ),
    ),
    "A request that was refused (RFC 9457).",
)


@dataclass(frozen=True, slots=True)
class Refusals:
    """The codes of problems that an operation may answer with."""

    codes: frozenset[str]

    def __or__(self, other: Refusals) -> Refusals:
        return Refusals(self.codes | other.codes)

    def references(self) -> dict[str, Schema]:
        """By status, references to the components that `components` has."""
        return {
            str(_ALL_STATUSES[group[0]]): {"$ref": f"#/components/responses/{_name(group)}"}
            for group in self._groups()
        }

    def components(self) -> dict[str, Schema]:
        return {_name(group): _response(group) for group in self._groups()}

    def _groups(self) -> Iterator[tuple[str, ...]]:
        """Codes of one status, in the order of the table of statuses."""
        statuses = {_ALL_STATUSES[code] for code in self.codes}
        for status in sorted(statuses):
            yield tuple(c for c in _ALL_STATUSES if c in self.codes and _ALL_STATUSES[c] == status)


def refused(*classes: type[RequestError], image_codes: Iterable[str] = ()) -> Refusals:
    return Refusals(frozenset({error.code for error in classes} | {*image_codes}))


ANY = refused(errors.MalformedRequest, errors.HostNotAllowed, errors.RateLimited, errors.Internal)
"""What befalls any request, before it is known what it asks for."""
SAFE = ANY | refused(errors.ShuttingDown, errors.InvalidRequest)
"""What looks something up, and has a query, where an unknown parameter is refused: a database that
fails stops the server.
"""
CHANGE = SAFE | refused(errors.Forbidden, errors.StorageFull)
BODY = refused(
    errors.RequestTimeout,
    errors.PayloadTooLarge,
    errors.UnsupportedMediaType,
)
TAKE_IN = (
    CHANGE
    | BODY
    | refused(
        errors.TooManyImages,
        errors.InvalidRecipe,
        errors.QueueFull,
        errors.IdempotencyInProgress,
        errors.IdempotencyMismatch,
    )
)
"""What brings images to a job."""
NOT_FOUND = refused(errors.NotFound)
IMAGE_CODES = frozenset(ImageErrorCode) - {
    code for code in ImageErrorCode if code.startswith("fetch_")
}
"""Of an image that comes with its request, and is not fetched."""
OF_IMAGE = refused(image_codes=IMAGE_CODES)


def _name(codes: Iterable[str]) -> str:
    return "-".join(codes)


def _response(codes: tuple[str, ...]) -> Schema:
    status = _ALL_STATUSES[codes[0]]
    headers = {"X-Request-ID": REQUEST_ID}
    if status in _WITH_RETRY_AFTER:
        headers["Retry-After"] = RETRY_AFTER
    if len(codes) > _FEW_CODES:
        description = "The image cannot be made, or the request is not valid: see the codes."
    else:
        description = " ".join(f"{_error(code).title}." for code in codes)
    # A const says the same, but generators of clients cannot join it with an integer.
    this_status = {"type": "integer", "minimum": status, "maximum": status}
    narrowed = {"properties": {"status": this_status, "code": choice(codes)}}
    return {
        "description": description,
        "headers": headers,
        "content": {
            "application/problem+json": {
                "schema": {"allOf": [ref("Problem"), narrowed]},
                "examples": {code: {"value": _example(code)} for code in codes[:_FEW_CODES]},
            }
        },
    }


_FEW_CODES = 5


def _error(code: str) -> RequestError | ImageError:
    for error in RequestError.__subclasses__():
        if error.code == code:
            return error(f"{error.title}.")
    return ImageError(ImageErrorCode(code), f"{ImageError.title}.")


def _example(code: str) -> Schema:
    return problem_document(_error(code), "/api/v1/…")
