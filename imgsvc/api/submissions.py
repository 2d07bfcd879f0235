"""The three forms of a submission: a form, a JSON document, one image as the body."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from aiohttp import web

from imgsvc.api.bodies import read_body
from imgsvc.domain.job import Job
from imgsvc.errors import Fault, InvalidRequest, UnsupportedMediaType
from imgsvc.intake.json_body import JsonBody, JsonLimits, read_json
from imgsvc.intake.json_document import parse_document
from imgsvc.intake.multipart import Field, FilePart, read_multipart
from imgsvc.intake.reception import receive_body, receive_part
from imgsvc.intake.spec import JobSpec, parse_fields, parse_spec
from imgsvc.service.submit import Submission, Submitter

_CLI_AGENT = "imgsvc-cli/"


async def receive_submission(request: web.Request, submitter: Submitter) -> Job:
    """Take in the request's images; returns the job once all of it is durable.

    Raises RequestError of many kinds; nothing is left behind then.
    """
    receive = {
        "multipart/form-data": _receive_form,
        "application/json": _receive_json,
        "application/octet-stream": _receive_image,
    }.get(request.content_type)
    if request.content_type.startswith("image/"):
        receive = _receive_image
    if receive is None:
        raise UnsupportedMediaType(
            "Send images as multipart/form-data, application/json, image/* or "
            "application/octet-stream."
        )
    is_cli = request.headers.get("User-Agent", "").startswith(_CLI_AGENT)
    async with await submitter.begin("cli" if is_cli else "api") as submission:
        await receive(request, submission, submitter)
        return await submission.commit()


async def _receive_form(request: web.Request, submission: Submission, submitter: Submitter) -> None:
    """Files are taken as they come; with `spec` ahead of them they are worked on at once."""
    limits = submitter.limits
    chunks = read_body(request, limits.max_request_bytes)
    spec: JobSpec | None = None
    fields: dict[str, str] = {}
    async for part in read_multipart(request.headers["Content-Type"], chunks):
        if isinstance(part, FilePart):
            submission.check_room()
            image = await receive_part(
                part, submission.stage, max_image_bytes=limits.max_image_bytes
            )
            await submission.add(image)
        elif part.name == "spec":
            if spec is not None:
                raise _beside("/spec", "given twice")
            spec = await asyncio.to_thread(_parse_spec_field, part)
            submission.describe(spec)
        elif part.name in fields:
            raise _beside(f"/{part.name}", "given twice")
        else:
            fields[part.name] = part.text()
    if spec is None:
        submission.describe(parse_fields(fields))
    elif fields:
        raise _beside(f"/{min(fields)}", "belongs into spec when there is one")


def _parse_spec_field(field: Field) -> JobSpec:
    return parse_spec(parse_document(field.value), takes_images=False)


async def _receive_json(request: web.Request, submission: Submission, submitter: Submitter) -> None:
    limits = submitter.limits
    body = await read_json(
        read_body(request, limits.max_json_bytes),
        submission.stage,
        JsonLimits(
            max_images=limits.max_images_per_job,
            max_image_bytes=limits.max_image_bytes,
            max_json_bytes=limits.max_json_bytes,
        ),
    )
    spec = parse_spec(body.document)
    submission.describe(spec)
    await _add_lifted(spec, body, submission)


async def _add_lifted(spec: JobSpec, body: JsonBody, submission: Submission) -> None:
    for index, image_spec in enumerate(spec.images):
        image = body.images.get(image_spec.data or "")
        if image is None:  # the key is spelled with escapes, so the data was not recognised
            raise _beside(f"/images/{index}/data", "must be spelled plainly")
        await submission.add(replace(image, name=image_spec.name))


async def _receive_image(
    request: web.Request, submission: Submission, submitter: Submitter
) -> None:
    query = dict(request.query)
    name = query.pop("name", None)
    submission.describe(parse_fields(query))
    image = await receive_body(
        read_body(request, submitter.limits.max_image_bytes),
        submission.stage,
        name=name,
        max_image_bytes=submitter.limits.max_image_bytes,
    )
    await submission.add(image)


def _beside(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer[1:]}: {detail}.", (Fault(pointer, detail),))
