"""What was made, how it goes, and one file at a time."""

from __future__ import annotations

from imgsvc import errors
from imgsvc.api.openapi import examples
from imgsvc.api.openapi.bodies import image_body
from imgsvc.api.openapi.operations import Operation, Tag
from imgsvc.api.openapi.parameters import (
    INLINE,
    LAST_EVENT_ID,
    NAME,
    OF_FILES,
    in_query,
    render_fields,
)
from imgsvc.api.openapi.refusals import BODY, CHANGE, NOT_FOUND, OF_IMAGE, SAFE, refused
from imgsvc.api.openapi.responses import answer, csv_answer, file_answers
from imgsvc.api.openapi.vocabulary import BYTES, TEXT, Schema
from imgsvc.api.report import COLUMNS
from imgsvc.config import LimitSettings
from imgsvc.domain.rendering import MEDIA_TYPES

_OUTPUT = "/api/v1/jobs/{id}/images/{index}/outputs/{variant}"
_FOLLOWING = SAFE | refused(errors.Forbidden, errors.NotAcceptable)
_TRANSPORTS = (
    "A WebSocket on upgrade, Server-Sent Events with Accept: text/event-stream; the same messages "
    "on both, as text. A slow reader may miss states between, and never the last. The server pings "
    "every 20 s, and closes a WebSocket with 1000 at the end and 1001 when it stops."
)


def operations(limits: LimitSettings) -> list[Operation]:
    return [*_results(), *_progress(), _render(limits)]


def _results() -> list[Operation]:
    return [
        Operation(
            method="get",
            path=_OUTPUT,
            name="getOutput",
            tag=Tag.RESULTS,
            summary="Download one file",
            parameters=[INLINE, *OF_FILES],
            answers=file_answers(),
            refusals=SAFE | NOT_FOUND,
        ),
        Operation(
            method="get",
            path="/api/v1/jobs/{id}/archive.zip",
            name="getArchive",
            tag=Tag.RESULTS,
            summary="Download everything as a ZIP",
            description="All outputs finished so far, called {stem}.{ext} where the recipe has "
            "one variant, {stem}-{variant}.{ext} otherwise.",
            parameters=[in_query("variant", TEXT, "Only this one.")],
            answers={
                200: answer(
                    "The archive.", {"application/zip": {"schema": BYTES}}, "Content-Disposition"
                )
            },
            refusals=SAFE | NOT_FOUND,
        ),
        Operation(
            method="get",
            path="/api/v1/jobs/{id}/report.csv",
            name="getReport",
            tag=Tag.RESULTS,
            summary="Download a table of all results",
            description="One row for each image and variant; after our columns those of the "
            "product list that the job came in. Cells are safe against formula injection.",
            answers={200: csv_answer(f"Columns: {', '.join(COLUMNS)}.", ",".join(COLUMNS))},
            refusals=SAFE | NOT_FOUND,
        ),
    ]


def _progress() -> list[Operation]:
    return [
        Operation(
            method="get",
            path="/api/v1/jobs/{id}/events",
            name="followJob",
            tag=Tag.PROGRESS,
            summary="Follow a job",
            description=f"{_TRANSPORTS} Messages are of the schema JobEvent: a snapshot, changes, "
            "and the end.",
            parameters=[LAST_EVENT_ID],
            answers={
                101: answer("A WebSocket, with a JobEvent in each message.", None),
                200: _events("JobEvent"),
                204: answer("The reader has seen the end.", None),
            },
            refusals=_FOLLOWING | NOT_FOUND,
        ),
        Operation(
            method="get",
            path="/api/v1/events",
            name="followAll",
            tag=Tag.PROGRESS,
            summary="Follow all jobs",
            description=f"{_TRANSPORTS} Messages are of the schema ServerEvent: a snapshot of the "
            "newest jobs, then changes of jobs, without an end.",
            answers={
                101: answer("A WebSocket, with a ServerEvent in each message.", None),
                200: _events("ServerEvent"),
            },
            refusals=_FOLLOWING,
        ),
    ]


def _events(schema: str) -> Schema:
    """OpenAPI 3.1 has no word for the items of a stream."""
    example = f'id: 7\ndata: {{"type":"end","seq":7,"job":{{"id":"{examples.JOB_ID}", …}}}}\n\n'
    text = f"Events without a name; the data of each is a {schema}, its id the seq."
    return answer(text, {"text/event-stream": {"schema": TEXT, "example": example}})


def _render(limits: LimitSettings) -> Operation:
    files: Schema = {kind: {"schema": BYTES} for kind in MEDIA_TYPES.values()}
    return Operation(
        method="post",
        path="/api/v1/render",
        name="render",
        tag=Tag.RENDER,
        summary="Make one file while you wait",
        description="Ahead of all jobs, and nothing is kept. What is to be made stands in the "
        "query: a preset, or the fields of a variant.",
        parameters=[*render_fields(), NAME, INLINE],
        body=image_body(f"One image of at most {limits.max_image_bytes} bytes.", with_form=True),
        answers={
            200: answer(
                "The finished file.", files, "Content-Disposition", "Repr-Digest", "Imgsvc-Warnings"
            )
        },
        refusals=CHANGE | BODY | OF_IMAGE | refused(errors.InvalidRecipe, errors.QueueFull),
    )
