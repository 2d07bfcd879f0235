"""Answers that are no problems, and the headers of all."""

from __future__ import annotations

from typing import Any

from imgsvc.api.openapi.vocabulary import BYTES, COUNT, TEXT, Schema, ref
from imgsvc.api.spreadsheet import MEDIA_TYPE as CSV
from imgsvc.domain.rendering import MEDIA_TYPES


def _header(name: str) -> Schema:
    return {"$ref": f"#/components/headers/{name}"}


def _told(text: str, schema: Schema = TEXT, *, is_sure: bool = False) -> Schema:
    return {"description": text, "required": is_sure, "schema": schema}


HEADERS: dict[str, Schema] = {
    "X-Request-ID": _told("The request's own, or one made for it.", is_sure=True),
    "Location": _told("Where what was made is found."),
    "Link": _told('The next page, with rel="next" (RFC 8288); absent on the last.'),
    "ETag": _told("Names this content, for If-None-Match.", is_sure=True),
    "Last-Modified": _told("When the file was made.", is_sure=True),
    "Accept-Ranges": _told("bytes."),
    "Content-Range": _told("Which part this is, of how much.", is_sure=True),
    "Content-Disposition": _told(
        "attachment or inline, with a file name (RFC 6266); filename* where it is not ASCII.",
        is_sure=True,
    ),
    "Repr-Digest": _told(
        "sha-256 of the whole file (RFC 9530).",
        {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
        is_sure=True,
    ),
    "Retry-After": _told("Seconds to wait before it is tried again.", COUNT, is_sure=True),
    "Idempotency-Replayed": _told("true where the first answer is given again."),
    "Preference-Applied": _told("wait=N, where the answer was held until the job was final."),
    "Imgsvc-Warnings": _told("Codes of what was done otherwise than asked, with commas."),
    "Imgsvc-Missing-Files": _told(
        "How many files the database names that are not there.", COUNT, is_sure=True
    ),
}

ACCEPTED = ("Location", "Idempotency-Replayed")
"""Headers of the answer to a submit."""

REQUEST_ID = _header("X-Request-ID")
RETRY_AFTER = _header("Retry-After")


def headers(*names: str) -> dict[str, Schema]:
    return {name: _header(name) for name in ("X-Request-ID", *names)}


def answer(text: str, content: Schema | None = None, *header_names: str) -> Schema:
    """content: media types with what they hold; None for an answer without a body."""
    found: Schema = {"description": text, "headers": headers(*header_names)}
    if content is not None:
        found["content"] = content
    return found


def json_answer(name: str, text: str, *header_names: str, example: Any = None) -> Schema:
    """A document of the schema `name`."""
    content: Schema = {"schema": ref(name)}
    if example is not None:
        content["example"] = example
    return answer(text, {"application/json": content}, *header_names)


def csv_answer(text: str, example: str) -> Schema:
    content = {CSV: {"schema": TEXT, "example": example}}
    return answer(text, content, "Content-Disposition")


def file_answers(
    media_types: list[str] | None = None, *, with_digest: bool = True
) -> dict[int, Schema]:
    """Of a file that can be asked for in parts, and whether it has changed."""
    kinds = media_types or [*MEDIA_TYPES.values()]
    content = {kind: {"schema": BYTES} for kind in kinds}
    digest = ("Repr-Digest",) if with_digest else ()
    of_file = ("ETag", "Last-Modified", "Accept-Ranges", "Content-Disposition", *digest)
    return {
        200: answer("The file.", content, *of_file),
        206: answer("A part of the file.", content, "Content-Range", *of_file),
        304: answer("The file has not changed.", None, *of_file),
        412: answer("The file is another one by now.", None),
        416: answer("The file has no such part.", None, "Content-Range"),
    }


NO_CONTENT = answer("Done.", None)
