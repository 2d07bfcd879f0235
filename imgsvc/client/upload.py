"""A submission as one streamed multipart body: memory stays flat however much is sent."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import quote

from imgsvc.client.errors import LocalFileError
from imgsvc.domain.input_names import MAX_NAME_CHARS, clean_name

CHUNK_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A file, read when its turn comes. name: what it is called in the job, folders with `/`.

    opener: how it is opened, where the path alone will not do; raises OSError, as its reading
        may.
    """

    path: Path
    name: str
    opener: Callable[[], BufferedReader] | None = None

    def open(self) -> BufferedReader:
        """For reading. Blocking. Raises OSError."""
        return self.opener() if self.opener else self.path.open("rb")

    def read_facts(self) -> os.stat_result:
        """Blocking. Raises OSError."""
        if self.opener is None:
            return self.path.stat()
        with self.open() as file:
            return os.fstat(file.fileno())


@dataclass(frozen=True, slots=True)
class BytesUpload:
    """An image that is in memory already."""

    data: bytes
    name: str


Upload = FileUpload | BytesUpload


@dataclass(frozen=True, slots=True)
class UrlUpload:
    """An image that the server fetches. name: None leaves it to the server."""

    url: str
    name: str | None = None

    def document(self) -> dict[str, str | None]:
        """As a submit in JSON has it."""
        return {"url": self.url, "name": self.name and self.name[-MAX_NAME_CHARS:]}


async def read_whole(path: Path) -> bytes:
    """A small file. Raises LocalFileError."""
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as exc:
        raise LocalFileError(path, exc.strerror or "it cannot be read") from exc


class MultipartBody:
    """The body of a submit: the `spec` first, so that the server knows what to do, then files.

    spec: None for an append, which has none. on_sent: told how many bytes of images have gone
    out so far.
    """

    def __init__(
        self,
        spec: Mapping[str, Any] | None,
        images: Iterable[Path | Upload],
        on_sent: Callable[[int], None] | None = None,
    ) -> None:
        self._spec = spec
        self._images = images
        self._on_sent = on_sent
        self._boundary = f"imgsvc-{secrets.token_hex(16)}"
        self.failure: Exception | None = None
        """Why the stream broke off, if it did: aiohttp hides what ends its body."""

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self._boundary}"

    async def stream(self) -> AsyncIterator[bytes]:
        """The bytes of the body, once. Raises LocalFileError when a file cannot be read."""
        try:
            async for chunk in self._parts():
                yield chunk
        except Exception as exc:
            self.failure = exc
            raise

    async def _parts(self) -> AsyncIterator[bytes]:
        if self._spec is not None:
            spec = json.dumps(self._spec).encode()
            yield self._head('name="spec"', "application/json") + spec + b"\r\n"
        sent_bytes = 0
        for image in self._images:
            upload = FileUpload(image, image.name) if isinstance(image, Path) else image
            head = self._head(f'name="images"; {_filename(upload.name)}')
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
            chunk, rest = await asyncio.to_thread(_open, upload)
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
            raise LocalFileError(upload.path, exc.strerror or "it cannot be read") from exc


def _open(upload: FileUpload) -> tuple[bytes, BufferedReader | None]:
    """The first chunk of a file, and the rest unless that was all: most need one hop."""
    file = upload.open()
    try:
        chunk = file.read(CHUNK_BYTES)
    except OSError:
        file.close()
        raise
    if len(chunk) < CHUNK_BYTES:
        file.close()
        return chunk, None
    return chunk, file


def _filename(name: str) -> str:
    """The parameter that names a file (WHATWG multipart/form-data).

    Where that form is not read alike everywhere, the one of RFC 5987, which is.
    """
    short = clean_name(name) or name  # which is nothing, or nothing but control characters
    if '"' in short or "%" in short or not short.isprintable():
        return f"filename*=UTF-8''{quote(short, safe='')}"
    return f'filename="{short}"'
