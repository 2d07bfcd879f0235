"""The server itself: is it well, what is it, and everything that it has."""

from __future__ import annotations

from imgsvc import errors
from imgsvc.api.openapi.bodies import json_body
from imgsvc.api.openapi.operations import Operation, Tag, look
from imgsvc.api.openapi.parameters import IF_NONE_MATCH
from imgsvc.api.openapi.refusals import ANY, BODY, CHANGE, Refusals, refused
from imgsvc.api.openapi.responses import answer, json_answer
from imgsvc.api.openapi.vocabulary import BYTES, TEXT, Schema, ref
from imgsvc.config import LimitSettings

_METRICS = look(
    path="/metrics",
    name="getMetrics",
    tag=Tag.SERVER,
    summary="Numbers for Prometheus",
    answer=answer(
        "OpenMetrics text.",
        {"application/openmetrics-text": {"schema": TEXT}, "text/plain": {"schema": TEXT}},
    ),
)


_QUERY = ANY | refused(errors.InvalidRequest)


def _unchanging(
    path: str,
    name: str,
    summary: str,
    text: str,
    media_type: str,
    schema: Schema,
    refusals: Refusals,
) -> Operation:
    """What is the same until another version of the program runs."""
    return Operation(
        method="get",
        path=path,
        name=name,
        tag=Tag.SERVER,
        summary=summary,
        parameters=[IF_NONE_MATCH],
        answers={
            200: answer(text, {media_type: {"schema": schema}}, "ETag"),
            304: answer("It has not changed.", None, "ETag"),
        },
        refusals=refusals,
    )


_PAGE = _unchanging("/", "getPage", "The web page", "The page.", "text/html", TEXT, ANY)
_DOCS = _unchanging(
    "/docs",
    "getDocs",
    "This description, for people",
    "A page without scripts.",
    "text/html",
    TEXT,
    _QUERY,
)
_OPENAPI = _unchanging(
    "/openapi.json",
    "getOpenapi",
    "This description, for programs",
    "An OpenAPI 3.1 document.",
    "application/json",
    {"type": "object"},
    _QUERY,
)


def operations(_limits: LimitSettings) -> list[Operation]:
    return [
        _readiness("/readyz", "readyz"),
        _readiness("/health", "health"),
        _LIVEZ,
        _INFO,
        _WORKERS,
        _BACKUP,
        _METRICS,
        _PAGE,
        _OPENAPI,
        _DOCS,
    ]


def _readiness(path: str, name: str) -> Operation:
    unready = json_answer("Unready", "It should be sent no work now.", "Retry-After")
    return Operation(
        method="get",
        path=path,
        name=name,
        tag=Tag.SERVER,
        summary="Whether the server should be sent work",
        description="Not while it drains, when its database cannot be written, or when free disk "
        "is under the reserve.",
        answers={200: json_answer("Alive", "It should."), 503: unready},
        refusals=ANY,
    )


_LIVEZ = Operation(
    method="get",
    path="/livez",
    name="livez",
    tag=Tag.SERVER,
    summary="Whether the server answers",
    answers={200: json_answer("Alive", "It does.")},
    refusals=ANY,
)
_INFO = look(
    path="/api/v1/info",
    name="getInfo",
    tag=Tag.SERVER,
    summary="Version, formats, limits, workers and queue",
    answer=json_answer("Info", "What this server is, and what it takes."),
)
_WORKERS = Operation(
    method="patch",
    path="/api/v1/workers",
    name="changeWorkers",
    tag=Tag.SERVER,
    summary="Change the number of workers",
    description="Nothing in flight is lost. Answered when the change has begun.",
    body=json_body(ref("WorkersSpec"), {"size": 4}, "How many there are to be."),
    answers={200: json_answer("Workers", "The workers as they are now.")},
    refusals=CHANGE | BODY,
)
_BACKUP = Operation(
    method="post",
    path="/api/v1/backup",
    name="makeBackup",
    tag=Tag.SERVER,
    summary="Download everything the server has",
    description="A ZIP of the database and all files, of one moment, made while it is sent.",
    answers={
        200: answer(
            "The archive.",
            {"application/zip": {"schema": BYTES}},
            "Content-Disposition",
            "Imgsvc-Missing-Files",
        )
    },
    refusals=CHANGE,
)
