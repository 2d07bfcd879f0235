"""The three forms of a submission: a form, a JSON document, one image as the body."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from aiohttp import web

from imgsvc.api.bodies import read_body
from imgsvc.blobs.stage import Stage
from imgsvc.config import LimitSettings
from imgsvc.domain.image import NewImage
from imgsvc.domain.job import Job
from imgsvc.errors import Fault, InvalidRequest, UnsupportedMediaType
from imgsvc.intake.fingerprint import Fingerprint
from imgsvc.intake.json_body import JsonBody, JsonLimits, read_json
from imgsvc.intake.json_document import parse_document
from imgsvc.intake.multipart import Field, FilePart, read_multipart
from imgsvc.intake.reception import receive_body, receive_part
from imgsvc.intake.spec import JobSpec, parse_fields, parse_spec
from imgsvc.service.append import Appender
from imgsvc.service.submit import Submitter

_CLI_AGENT = "imgsvc-cli/"


class Receiver(Protocol):
    """Takes images in: a submit, or an append to an open job."""

    limits: LimitSettings
    stage: Stage
    fingerprint: Fingerprint

    def describe(self, spec: JobSpec) -> None:
        """Say what is wanted."""

    def check_room(self) -> None:
        """Raises TooManyImages when no further image can be taken."""

    async def add(self, image: NewImage) -> None:
        """Take an image whose bytes are staged."""


async def receive_submission(
    request: web.Request, submitter: Submitter, idempotency_key: str | None
) -> Job:
    """Take in the request's images; returns the job once all of it is durable.

    Raises RequestError of many kinds; nothing is left behind then.
    """
    is_cli = request.headers.get("User-Agent", "").startswith(_CLI_AGENT)
    async with await submitter.begin("cli" if is_cli else "api") as submission:
        await receive(request, submission)
        return await submission.commit(idempotency_key)


async def receive_append(
    request: web.Request, appender: Appender, job_id: str, idempotency_key: str | None
) -> list[tuple[int, str]]:
    """The same for more images of an open job: their indexes and names."""
    async with await appender.begin(job_id) as append:
        await receive(request, append)
        return await append.commit(idempotency_key)


async def receive(request: web.Request, receiver: Receiver) -> None:
    """Read the request's body, in whichever form it comes. Raises UnsupportedMediaType."""
    take_in = _choose_form(request)
    receiver.fingerprint.add(request.method, request.path)
    await take_in(request, receiver)


def _choose_form(request: web.Request) -> Callable[[web.Request, Receiver], Awaitable[None]]:
    take_in = {
        "multipart/form-data": _receive_form,
        "application/json": _receive_json,
        "application/octet-stream": _receive_image,
    }.get(request.content_type)
    if request.content_type.startswith("image/"):
        take_in = _receive_image
    if take_in is None:
        raise UnsupportedMediaType(
            "Send images as multipart/form-data, application/json, image/* or "
            "application/octet-stream."
        )
    return take_in


async def _receive_form(request: web.Request, receiver: Receiver) -> None:
    """Files are taken as they come; with `spec` ahead of them they are worked on at once."""
    limits = receiver.limits
    chunks = read_body(request, limits.max_request_bytes)
    spec: JobSpec | None = None
    fields: dict[str, str] = {}
    async for part in read_multipart(request.headers["Content-Type"], chunks):
        if isinstance(part, FilePart):
            receiver.check_room()
            receiver.fingerprint.add("part", part.name)
            image = await receive_part(part, receiver.stage, max_image_bytes=limits.max_image_bytes)
            await receiver.add(image)
        elif part.name == "spec":
            if spec is not None:
                raise _beside("/spec", "given twice")
            spec = await asyncio.to_thread(_parse_spec_field, part)
            receiver.describe(spec)
        elif part.name in fields:
            raise _beside(f"/{part.name}", "given twice")
        else:
            fields[part.name] = part.text()
    if spec is None:
        receiver.describe(parse_fields(fields))
    elif fields:
        raise _beside(f"/{min(fields)}", "belongs into spec when there is one")


def _parse_spec_field(field: Field) -> JobSpec:
    return parse_spec(parse_document(field.value), takes_images=False)


async def _receive_json(request: web.Request, receiver: Receiver) -> None:
    limits = receiver.limits
    body = await read_json(
        read_body(request, limits.max_json_bytes),
        receiver.stage,
        JsonLimits(
            max_images=limits.max_images_per_job,
            max_image_bytes=limits.max_image_bytes,
            max_json_bytes=limits.max_json_bytes,
        ),
    )
    spec = parse_spec(body.document)
    receiver.describe(spec)
    await _add_lifted(spec, body, receiver)


async def _add_lifted(spec: JobSpec, body: JsonBody, receiver: Receiver) -> None:
    for index, image_spec in enumerate(spec.images):
        image = body.images.get(image_spec.data or "")
        if image is None:  # the key is spelled with escapes, so the data was not recognised
            raise _beside(f"/images/{index}/data", "must be spelled plainly")
        await receiver.add(replace(image, name=image_spec.name))


async def _receive_image(request: web.Request, receiver: Receiver) -> None:
    query = dict(request.query)
    name = query.pop("name", None)
    receiver.describe(parse_fields(query))
    image = await receive_body(
        read_body(request, receiver.limits.max_image_bytes),
        receiver.stage,
        name=name,
        max_image_bytes=receiver.limits.max_image_bytes,
    )
    await receiver.add(image)


def _beside(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer[1:]}: {detail}.", (Fault(pointer, detail),))
