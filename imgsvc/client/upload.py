"""A submission as one streamed multipart body: memory stays flat however much is sent."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from imgsvc.client.errors import LocalFileError

CHUNK_BYTES = 256 << 10
MAX_NAME_CHARS = 255
"""Longest name of an image that the API takes."""


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A file, read when its turn comes. name: what it is called in the job, folders with `/`."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class BytesUpload:
    """An image that is in memory already."""

    data: bytes
    name: str


Upload = FileUpload | BytesUpload


class MultipartBody:
    """The body of a submit: the `spec` first, so that the server knows what to do, then files.

    on_sent: told how many bytes of images have gone out so far.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        images: Iterable[Path | Upload],
        on_sent: Callable[[int], None] | None = None,
    ) -> None:
        self._spec = spec
        self._images = images
        self._on_sent = on_sent
        self._boundary = f"imgsvc-{secrets.token_hex(16)}"
        self.failure: LocalFileError | None = None
        """Why the stream broke off, if it did: aiohttp hides what ends its body."""

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self._boundary}"

    async def stream(self) -> AsyncIterator[bytes]:
        """The bytes of the body, once. Raises LocalFileError when a file cannot be read."""
        spec = json.dumps(self._spec).encode()
        yield self._head('name="spec"', "application/json") + spec + b"\r\n"
        sent_bytes = 0
        for image in self._images:
            upload = FileUpload(image, image.name) if isinstance(image, Path) else image
            head = self._head(f'name="images"; filename="{_quote(upload.name)}"')
            async for chunk in self._chunks(upload):
                yield head + chunk if head else chunk
                head = b""
                sent_bytes += len(chunk)
                if self._on_sent:
                    self._on_sent(sent_bytes)
            yield head + b"\r\n"
        yield f"--{self._boundary}--\r\n".encode()

    def _head(self, disposition: str, media_type: str = "application/octet-stream") -> bytes:
        return (
            f"--{self._boundary}\r\n"
            f"Content-Disposition: form-data; {disposition}\r\n"
            f"Content-Type: {media_type}\r\n\r\n"
        ).encode()

    async def _chunks(self, upload: Upload) -> AsyncIterator[bytes]:
        if isinstance(upload, BytesUpload):
            for start in range(0, len(upload.data), CHUNK_BYTES):
                yield upload.data[start : start + CHUNK_BYTES]
            return
        try:
            chunk, rest = await asyncio.to_thread(_open, upload.path)
            try:
                while chunk:
                    yield chunk
                    if rest is None:
                        break
                    chunk = await asyncio.to_thread(rest.read, CHUNK_BYTES)
            finally:
                if rest is not None:
                    rest.close()
        except OSError as exc:
            self.failure = LocalFileError(upload.path, exc.strerror or "it cannot be read")
            raise self.failure from exc


def _open(path: Path) -> tuple[bytes, BinaryIO | None]:
    """The first chunk of a file, and the rest unless that was all: most need one hop."""
    file = path.open("rb")
    try:
        chunk = file.read(CHUNK_BYTES)
    except OSError:
        file.close()
        raise
    if len(chunk) < CHUNK_BYTES:
        file.close()
        return chunk, None
    return chunk, file


def _quote(name: str) -> str:
    """A file name as browsers write it into a part's header (WHATWG multipart/form-data)."""
    valid = name.encode(errors="surrogateescape").decode(errors="replace")
    short = valid[-MAX_NAME_CHARS:]
    return short.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
