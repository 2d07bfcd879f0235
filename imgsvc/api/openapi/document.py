"""The whole document (OpenAPI 3.1.1)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from imgsvc import __version__
from imgsvc.api.openapi.answers import answer_schemas
from imgsvc.api.openapi.chapters import dialects, jobs, kept, results, server
from imgsvc.api.openapi.dialect_answers import dialect_schemas
from imgsvc.api.openapi.inputs import input_schemas
from imgsvc.api.openapi.operations import Operation, Tag
from imgsvc.api.openapi.refusals import PROBLEM
from imgsvc.api.openapi.responses import HEADERS
from imgsvc.api.openapi.vocabulary import TEXT, Schema, ref
from imgsvc.config import LimitSettings
from imgsvc.domain.webhook import WebhookEvent

CHAPTERS = (jobs, results, kept, server, dialects)
"""Of the document."""

_ABOUT = """\
Submit images, watch them finish, download the results. Nothing that was accepted is lost.

A job is one submission: images and one recipe, a list of named variants. Every image gives one \
output for each variant. Ids are UUIDv7. Times are RFC 3339 in UTC with milliseconds. Absent facts \
are null, never missing. Unknown fields and parameters are refused, not ignored (`/`, `/livez`, \
`/readyz` and `/health` take any parameter); an empty parameter counts as not given. Every GET \
answers HEAD too; another method that does not apply is refused with 405 `method_not_allowed`, \
another address with 404 `not_found`.

Errors are `application/problem+json`. A request from another site's page is refused with 403, one \
for a host that is not served here with 421, one whose head does not arrive with 408.
"""

_OF_TAGS = {
    Tag.JOBS: "Submissions of images with one recipe.",
    Tag.IMAGES: "The inputs of jobs, and what became of them.",
    Tag.RESULTS: "Finished files.",
    Tag.PROGRESS: "Live, over WebSocket or Server-Sent Events.",
    Tag.RENDER: "One image in, one file out.",
    Tag.PRESETS: "Recipes with a name.",
    Tag.WATERMARKS: "Pictures to be laid over others.",
    Tag.DELIVERIES: "What webhooks were sent.",
    Tag.SERVER: "Is it well, and what is it?",
    Tag.BATCH_UPLOAD: "A form of files becomes a batch, its results have keys.",
    Tag.BATCH_V1: "A JSON document of images, followed over a WebSocket.",
    Tag.PRODUCT_CSV: "A list of products in CSV; results come back beside it.",
    Tag.JOBS_DIALECT: "One image is one job, with an operation in the place of a recipe.",
}


@cache
def build_document(limits: LimitSettings) -> Schema:
    """For a server of these limits. It is the same one every time: not to be changed."""
    operations = [each for chapter in CHAPTERS for each in chapter.operations(limits)]
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "imgsvc",
            "version": __version__,
            "summary": "Turns folders, uploads and lists of images into finished files.",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": ".", "description": "The server that gave this document."}],
        "tags": [{"name": tag.value, "description": text} for tag, text in _OF_TAGS.items()],
        "paths": describe_paths(operations),
        "webhooks": _webhooks(),
        "components": {
            "schemas": {
                **answer_schemas(),
                **input_schemas(limits),
                "Problem": PROBLEM,
                **dialect_schemas(),
            },
            "responses": _refusals(operations),
            "headers": HEADERS,
        },
    }


def describe_paths(operations: Iterable[Operation]) -> dict[str, Schema]:
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation.document()
    return paths


def _refusals(operations: Iterable[Operation]) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for operation in operations:
        found |= operation.refusals.components()
    return dict(sorted(found.items()))


def _webhooks() -> dict[str, Schema]:
    return {
        WebhookEvent.JOB_FINISHED.value: _webhook("JobFinished", "A job is final."),
        WebhookEvent.IMAGE_FINISHED.value: _webhook("ImageFinished", "Images are final."),
    }


def _webhook(schema: str, summary: str) -> Schema:
    """Of Standard Webhooks."""
    headers = {
        "webhook-id": "The same for every try.",
        "webhook-timestamp": "Seconds since 1970.",
        "webhook-signature": "After Standard Webhooks; absent where there is no secret.",
    }
    return {
        "post": {
            "operationId": f"on{schema}",
            "tags": [Tag.DELIVERIES.value],
            "summary": summary,
            "parameters": [
                {
                    "name": name,
                    "in": "header",
                    "required": name != "webhook-signature",
                    "description": text,
                    "schema": TEXT,
                }
                for name, text in headers.items()
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": ref(schema)}},
            },
            "responses": {
                "2XX": {"description": "It has arrived."},
                "410": {"description": "No more messages are wanted."},
                "default": {"description": "It is tried again, for days."},
            },
        }
    }
