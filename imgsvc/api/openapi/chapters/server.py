"""The server itself: is it well, what is it, and everything that it has."""

from __future__ import annotations

from imgsvc import errors
from imgsvc.api.openapi.bodies import json_body
from imgsvc.api.openapi.operations import Operation, Tag
from imgsvc.api.openapi.parameters import IF_NONE_MATCH
from imgsvc.api.openapi.refusals import ANY, BODY, CHANGE, SAFE, Refusals, refused
from imgsvc.api.openapi.responses import answer, json_answer
from imgsvc.api.openapi.vocabulary import BYTES, TEXT, Schema, ref
from imgsvc.config import LimitSettings

_METRICS = Operation(
    method="get",
    path="/metrics",
    name="getMetrics",
    tag=Tag.SERVER,
    summary="Numbers for Prometheus",
    answers={
        200: answer(
            "OpenMetrics text.",
            {"application/openmetrics-text": {"schema": TEXT}, "text/plain": {"schema": TEXT}},
        )
    },
    refusals=SAFE,
)


def _page(path: str, name: str, summary: str, text: str, refusals: Refusals = ANY) -> Operation:
    return Operation(
        method="get",
        path=path,
        name=name,
        tag=Tag.SERVER,
        summary=summary,
        parameters=[IF_NONE_MATCH],
        answers={
            200: answer(text, {"text/html": {"schema": TEXT}}, "ETag"),
            304: answer("The page has not changed.", None, "ETag"),
        },
        refusals=refusals,
    )


_PAGE = _page("/", "getPage", "The web page", "The page.")
_QUERY = ANY | refused(errors.InvalidRequest)
_DOCS = _page("/docs", "getDocs", "This description, for people", "A page without scripts.", _QUERY)


def operations(_limits: LimitSettings) -> list[Operation]:
    return [
        *(
            _readiness(path, name)
            for path, name in {"/readyz": "readyz", "/health": "health"}.items()
        ),
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
_INFO = Operation(
    method="get",
    path="/api/v1/info",
    name="getInfo",
    tag=Tag.SERVER,
    summary="Version, formats, limits, workers and queue",
    answers={200: json_answer("Info", "What this server is, and what it takes.")},
    refusals=SAFE,
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
_DOCUMENT: Schema = {"application/json": {"schema": {"type": "object"}}}
_OPENAPI = Operation(
    method="get",
    path="/openapi.json",
    name="getOpenapi",
    tag=Tag.SERVER,
    summary="This description, for programs",
    parameters=[IF_NONE_MATCH],
    answers={
        200: answer("An OpenAPI 3.1 document.", _DOCUMENT, "ETag"),
        304: answer("The document has not changed.", None, "ETag"),
    },
    refusals=_QUERY,
)
