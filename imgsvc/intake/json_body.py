"""A JSON body with images inside: their base64 goes straight to disk, in flat memory."""

from __future__ import annotations

import asyncio
import codecs
import json
import secrets
from collections.abc import AsyncIterable, Collection
from dataclasses import dataclass
from typing import Any

from imgsvc.blobs.stage import Stage
from imgsvc.domain.image import NewImage, SourceKind
from imgsvc.domain.rendering import Failure
from imgsvc.errors import ImageErrorCode, MalformedRequest, PayloadTooLarge, TooManyImages
from imgsvc.intake.base64_text import Base64Decoder, BrokenBase64, cut_data_uri
from imgsvc.intake.documents import Documents
from imgsvc.intake.json_document import check_values, count_values, parse_document
from imgsvc.intake.json_scanner import LiftedText, LiftPath, Mark, Scanner, Text
from imgsvc.intake.reception import conclude, too_many_bytes

JOB_SPEC_IMAGES: LiftPath = ("images", None, "data")
MAX_DOCUMENT_BYTES = 32 << 20
"""What a body may hold beside the lifted strings."""
_BLOCK_BYTES = 64 << 10
"""How much is worked on at a time, so that a large chunk does not hold up the loop."""
_DENSE_BLOCK_BYTES = 4 << 10
"""The same outside images: a thousand values cost as much as a mebibyte of base64."""
_PARSED_IN_PLACE_BYTES = 256 << 10

_INVALID = Failure(ImageErrorCode.INVALID_DATA, "The image's data is not valid base64.")


@dataclass(frozen=True, slots=True)
class JsonBody:
    """document: the parsed body, with a placeholder for each lifted string.
    images: placeholder -> the image, without a name; in the order received.
    """

    document: Any
    images: dict[str, NewImage]


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """max_json_bytes: of the whole body. max_document_bytes: of what is not lifted."""

    max_images: int
    max_image_bytes: int
    max_json_bytes: int
    max_document_bytes: int = MAX_DOCUMENT_BYTES


async def read_json(
    chunks: AsyncIterable[bytes],
    stage: Stage,
    limits: JsonLimits,
    documents: Documents,
    *,
    lift: Collection[LiftPath] = (JOB_SPEC_IMAGES,),
) -> JsonBody:
    """Read a body to its end, with every string value at a path of `lift` staged.

    Bad base64, no bytes or too many are failures of that one image. Raises
    MalformedRequest, PayloadTooLarge, TooManyImages, RateLimited, and what staging and
    `chunks` raise.
    """
    reader = _Reader(stage, limits, documents, lift)
    async for chunk in chunks:
        await reader.take(chunk)
    return await reader.finish()


async def read_plain_json(
    chunks: AsyncIterable[bytes],
    documents: Documents,
    *,
    max_json_bytes: int,
    is_optional: bool = False,
) -> Any:
    """Read and parse a body in which nothing is lifted. Raises as `read_json` does.

    is_optional: without a byte it is an empty object.
    """
    text = bytearray()
    async for chunk in chunks:
        text += chunk
        if len(text) > max_json_bytes:
            raise _too_long(max_json_bytes)
        documents.take(chunk, count_values(chunk))
    if is_optional and not text:
        return {}
    return await _parse(bytes(text), documents)


async def _parse(text: bytes, documents: Documents) -> Any:
    if len(text) <= _PARSED_IN_PLACE_BYTES:
        return parse_document(text)
    return await documents.parse(parse_document, text)


def _too_long(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The JSON document is longer than {max_bytes} bytes.")


class _Reader:
    def __init__(
        self,
        stage: Stage,
        limits: JsonLimits,
        documents: Documents,
        lift: Collection[LiftPath],
    ) -> None:
        self._stage = stage
        self._limits = limits
        self._documents = documents
        self._scanner = Scanner(lift)
        self._received_bytes = 0
        self._document = bytearray()
        self._value_count = 0
        self._secret = secrets.token_hex(16)  # so that no client writes a placeholder itself
        self._lifted: _LiftedImage | None = None
        self._images: dict[str, NewImage] = {}

    async def take(self, chunk: bytes) -> None:
        self._received_bytes += len(chunk)
        if self._received_bytes > self._limits.max_json_bytes:
            raise _too_long(self._limits.max_json_bytes)
        start = 0
        while start < len(chunk):
            if start:
                await asyncio.sleep(0)
            size = _BLOCK_BYTES if self._lifted else _DENSE_BLOCK_BYTES
            await self._take_block(chunk[start : start + size])
            start += size

    async def finish(self) -> JsonBody:
        self._scanner.finish()
        text = bytes(self._document)
        self._document.clear()  # it may have to wait for its turn
        return JsonBody(await _parse(text, self._documents), self._images)

    async def _take_block(self, block: bytes) -> None:
        for event in self._scanner.scan(block):
            if isinstance(event, Text):
                self._keep(event.text)
            elif isinstance(event, LiftedText):
                if self._lifted is not None:
                    await self._lifted.take(event.text)
            elif event is Mark.LIFT_BEGINS:
                self._begin_image()
            else:
                await self._end_image()

    def _keep(self, text: bytes) -> None:
        self._document += text
        values = count_values(text)
        self._value_count += values
        check_values(self._value_count)  # early: each costs the scanner a microsecond
        if len(self._document) > self._limits.max_document_bytes:
            raise PayloadTooLarge(
                "The JSON document is longer than "
                f"{self._limits.max_document_bytes} bytes, images not counted."
            )
        self._documents.take(text, values)

    def _begin_image(self) -> None:
        if len(self._images) >= self._limits.max_images:
            raise TooManyImages(f"More than {self._limits.max_images} images.")
        self._lifted = _LiftedImage(self._stage, self._limits.max_image_bytes)

    async def _end_image(self) -> None:
        if self._lifted is not None:
            placeholder = f"lifted-{self._secret}-{len(self._images)}"
            self._images[placeholder] = await self._lifted.finish()
            self._keep(placeholder.encode())
            self._lifted = None


class _LiftedImage:
    """One lifted string on its way to a file.

    After a failure the text is still checked to be JSON: a broken body is refused
    whether or not its images are good.
    """

    def __init__(self, stage: Stage, max_image_bytes: int) -> None:
        self._file = stage.new_file()
        self._max_image_bytes = max_image_bytes
        self._decoder = Base64Decoder()
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._head: bytes | None = b""  # None once it is known whether it is a data: URI
        self._failure: Failure | None = None

    async def take(self, text: bytes) -> None:
        if self._head is None and self._failure is None:
            data = self._decoder.feed_clean(text)
            if data is not None:
                await self._write(data)
                return
        plain = self._unescape(text)
        if self._failure is None:
            await self._decode(plain, is_whole=False)

    async def finish(self) -> NewImage:
        try:
            self._utf8.decode(b"", final=True)
        except UnicodeDecodeError as exc:
            raise MalformedRequest("The JSON document is not UTF-8.") from exc
        if self._failure is None:
            await self._decode(b"", is_whole=True)
        size_bytes = None if self._failure else self._file.size_bytes
        return await conclude(self._file, SourceKind.BASE64, None, size_bytes, self._failure)

    async def _decode(self, text: bytes | None, *, is_whole: bool) -> None:
        """text: None when it was found not to be ASCII."""
        try:
            if text is None:
                raise BrokenBase64  # noqa: TRY301
            if self._head is not None:
                cut = cut_data_uri(self._head + text, is_whole=is_whole)
                if cut is None:
                    self._head += text
                    return
                self._head, text = None, cut
            data = self._decoder.feed(text)
            if is_whole:
                data += self._decoder.finish()
        except BrokenBase64:
            await self._fail(_INVALID)
        else:
            await self._write(data)

    async def _write(self, data: bytes) -> None:
        if self._file.size_bytes + len(data) > self._max_image_bytes:
            await self._fail(too_many_bytes(self._max_image_bytes))
        elif data:
            await self._file.write(data)

    async def _fail(self, failure: Failure) -> None:
        self._failure = failure
        await self._file.abort()

    def _unescape(self, text: bytes) -> bytes | None:
        """None when the string holds anything but ASCII, which no base64 does."""
        try:
            string = json.loads(f'"{self._utf8.decode(text)}"')
        except ValueError as exc:
            raise MalformedRequest("The JSON document has a broken string.") from exc
        return string.encode() if text.isascii() and string.isascii() else None
