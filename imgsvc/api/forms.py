"""The three forms in which images come: a form, a JSON document, one image as the body."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple, Protocol, Self

from aiohttp import web

from imgsvc.api.arrivals import DOCUMENTS
from imgsvc.api.bodies import read_body
from imgsvc.api.pages import check_query, read_name
from imgsvc.blobs.stage import Stage
from imgsvc.config import LimitSettings
from imgsvc.domain.image import NewImage
from imgsvc.domain.product_list import ProductList
from imgsvc.errors import InvalidRequest, TooManyImages, UnsupportedMediaType
from imgsvc.fetching.url_images import url_image
from imgsvc.intake.faults import pointer_to
from imgsvc.intake.fingerprint import Fingerprint
from imgsvc.intake.json_body import JOB_SPEC_IMAGES, JsonBody, JsonLimits, read_json
from imgsvc.intake.json_document import parse_document
from imgsvc.intake.json_scanner import LiftPath
from imgsvc.intake.multipart import Field, FilePart, read_multipart
from imgsvc.intake.reception import receive_body, receive_part
from imgsvc.intake.spec import (
    QUERY_FIELDS,
    ImageSpec,
    JobSpec,
    parse_fields,
    parse_query,
    parse_spec,
)

LANDING = 4
"""Files of a form that are on their way to the disk while the next one arrives."""

_FEW = 200
"""Images that are added before others have their turn: URLs bring nothing to be waited for."""


class Receiver(Protocol):
    """Takes images in: a submit, or an append to an open job."""

    limits: LimitSettings
    stage: Stage
    fingerprint: Fingerprint

    async def describe(self, spec: JobSpec) -> None:
        """Say what is wanted."""

    def check_room(self) -> None:
        """Raises TooManyImages when no further image can be taken."""

    async def add(self, image: NewImage) -> None:
        """Take an image whose bytes are staged."""


class ListReceiver(Receiver, Protocol):
    """Takes in what a job begins with: a submit, and not an append."""

    def begin_list(self, table: ProductList) -> None:
        """Say that the images come in a product list; after `describe`."""

    async def add_product(self, cells: Sequence[str], images: Sequence[NewImage]) -> None:
        """Take a row of the list, with its images."""


async def take_in(request: web.Request, receiver: Receiver) -> None:
    """Read the request's body, in whichever form it comes.

    Raises UnsupportedMediaType, and RequestErrors of many kinds.
    """
    await _choose_form(request)(request, receiver)


def _choose_form(request: web.Request) -> Callable[[web.Request, Receiver], Awaitable[None]]:
    form = {
        "multipart/form-data": _receive_form,
        "application/json": _receive_json,
        "application/octet-stream": _receive_image,
    }.get(request.content_type)
    if request.content_type.startswith("image/"):
        form = _receive_image
    if form is None:
        raise UnsupportedMediaType(
            "Send images as multipart/form-data, application/json, image/* or "
            "application/octet-stream, and a product list as text/csv, to begin a job with."
        )
    return form


async def _receive_form(request: web.Request, receiver: Receiver) -> None:
    """With `spec` ahead of the files they are worked on at once."""
    check_query(request.query)
    spec: JobSpec | None = None

    async def take_spec(field: Field) -> None:
        nonlocal spec
        if spec is not None:
            raise InvalidRequest.at("/spec", "given twice")
        spec = await request[DOCUMENTS].parse(_parse_spec_field, field.value)
        await receiver.describe(spec)

    fields = await receive_parts(request, receiver, {"spec": take_spec})
    if spec is None:
        await receiver.describe(parse_fields(fields))
    elif fields:
        raise InvalidRequest.at(pointer_to([min(fields)]), "belongs into spec when there is one")


async def receive_parts(
    request: web.Request,
    receiver: Receiver,
    own: Mapping[str, Callable[[Field], Awaitable[None]]] = MappingProxyType({}),
) -> dict[str, str]:
    """Take in the files of a form as they come; returns its plain fields.

    own: fields that are handed over when their turn comes, and not returned.
    """
    limits = receiver.limits
    chunks = read_body(request, limits.max_request_bytes)
    fields: dict[str, str] = {}
    async with _Landing(receiver) as landing:
        async for part in read_multipart(
            request.headers["Content-Type"], chunks, request[DOCUMENTS]
        ):
            if isinstance(part, FilePart):
                await landing.take(part)
            elif part.name in own:
                await own[part.name](part)
            elif part.name in fields:
                raise InvalidRequest.at(pointer_to([part.name]), "given twice")
            else:
                fields[part.name] = part.text()
        await landing.finish()
    return fields


class _Landing:
    """Takes in the files of a form: some reach the disk while the next one arrives."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._files: deque[_LandingFile] = deque()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for file in self._files:
            file.image.cancel()
        await asyncio.gather(*(file.image for file in self._files), return_exceptions=True)

    async def take(self, part: FilePart) -> None:
        """Read the part. Raises TooManyImages, maybe a few files late, and what staging raises."""
        receiver = self._receiver
        receiver.check_room()
        limit = receiver.limits.max_image_bytes
        conclusion = await receive_part(part, receiver.stage, max_image_bytes=limit)
        image = asyncio.create_task(conclusion, name="form-file")
        self._files.append(_LandingFile(part.name, image))
        if len(self._files) > LANDING:
            await self._hand_over()

    async def finish(self) -> None:
        """Hand over the files that are still on their way."""
        while self._files:
            await self._hand_over()

    async def _hand_over(self) -> None:
        file = self._files[0]
        image = await file.image
        self._files.popleft()
        self._receiver.fingerprint.add("part", file.field)
        await self._receiver.add(image)


class _LandingFile(NamedTuple):
    field: str
    image: asyncio.Task[NewImage]


def _parse_spec_field(value: bytes) -> JobSpec:
    return parse_spec(parse_document(value), takes_images=False)


async def _receive_json(request: web.Request, receiver: Receiver) -> None:
    check_query(request.query)
    body = await receive_document(request, receiver, JOB_SPEC_IMAGES)
    spec = parse_spec(body.document)
    await receiver.describe(spec)
    await add_images(spec.images, body, receiver)


async def receive_document(
    request: web.Request,
    receiver: Receiver,
    lift: LiftPath,
    limits: LimitSettings | None = None,
) -> JsonBody:
    """Read a JSON body, with the images at `lift` staged.

    limits: where they are not the receiver's own.
    """
    limits = limits or receiver.limits
    body = await read_json(
        read_body(request, limits.max_json_bytes),
        receiver.stage,
        JsonLimits(
            max_images=limits.max_images_per_job,
            max_image_bytes=limits.max_image_bytes,
            max_json_bytes=limits.max_json_bytes,
        ),
        request[DOCUMENTS],
        lift=(lift,),
    )
    listed = body.document.get(lift[0]) if isinstance(body.document, dict) else None
    if isinstance(listed, list) and len(listed) > limits.max_images_per_job:
        raise TooManyImages(f"More than {limits.max_images_per_job} images.")
    return body


async def add_images(
    specs: Sequence[ImageSpec],
    body: JsonBody,
    receiver: Receiver,
    *,
    max_url_bytes: int | None = None,
) -> None:
    """Take in what a document asks for.

    max_url_bytes: what an image by URL may have; None for the server's own limit.
    """
    for index, image_spec in enumerate(specs):
        if index % _FEW == 0:
            await asyncio.sleep(0)
        if image_spec.url is not None:
            receiver.fingerprint.add("url", image_spec.url)
            image = url_image(image_spec.url, image_spec.name, max_url_bytes)
            await receiver.add(image)
            continue
        lifted = body.images.get(image_spec.data or "")
        if lifted is None:  # the key is spelled with escapes, so the data was not recognised
            raise InvalidRequest.at(f"/images/{index}/data", "must be spelled plainly")
        await receiver.add(replace(lifted, name=image_spec.name))


async def _receive_image(request: web.Request, receiver: Receiver) -> None:
    check_query(request.query, "name", *QUERY_FIELDS)
    query = dict(request.query)
    name = read_name(request.query)
    query.pop("name", None)
    await receiver.describe(parse_query(query))
    image = await receive_body(
        read_body(request, receiver.limits.max_image_bytes),
        receiver.stage,
        name=name,
        max_image_bytes=receiver.limits.max_image_bytes,
    )
    await receiver.add(image)
