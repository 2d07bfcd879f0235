"""Files as answers: aiohttp's own, with ranges as RFC 9110 has them."""

from __future__ import annotations

import asyncio
import math
import re
from email.utils import parsedate_to_datetime
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from imgsvc.errors import NotFound
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

CHUNK_BYTES = 1 << 20

_OF_THE_FILE = ("Content-Type", "Content-Disposition", "Repr-Digest", "Cache-Control")
_WITHOUT_THE_FILE = frozenset({403, 404, 412, 416})
_SEVERAL = re.compile(r"bytes=.*,.*", re.IGNORECASE)
_NOTHING = re.compile(r"bytes=\s*-0+\s*", re.IGNORECASE)
_BEYOND_EVERY_FILE = f"bytes={1 << 62}-"


class FileAnswer(web.FileResponse):
    """A file with ETag, Last-Modified, conditional requests and single ranges."""

    def __init__(self, path: Path, headers: dict[str, str]) -> None:
        super().__init__(path, chunk_size=CHUNK_BYTES, headers=headers)

    async def check_is_there(self) -> None:
        """Raises NotFound for a file that its row still names: somebody else has removed it."""
        if not await asyncio.to_thread(self._path.exists):
            log.warning("file_missing", file=str(self._path))
            raise NotFound("The file is not there any more.")

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if hdrs.RANGE in request.headers:
            range_ = await self._settle_range(request)
            headers = CIMultiDict(request.headers)
            headers.popall(hdrs.IF_RANGE, None)
            headers.popall(hdrs.RANGE)
            if range_ is not None:
                headers[hdrs.RANGE] = range_
            request = request.clone(headers=headers)
        return await super().prepare(request)

    def set_status(self, status: int, reason: str | None = None) -> None:
        """What is said of the file goes with it."""
        super().set_status(status, reason)
        if status in _WITHOUT_THE_FILE:
            self.content_length = 0
            for name in _OF_THE_FILE:
                self.headers.popall(name, None)

    async def _settle_range(self, request: web.BaseRequest) -> str | None:
        """The range to answer; None for the whole file, which is always allowed."""
        range_ = request.headers[hdrs.RANGE]
        if request.method != hdrs.METH_GET or not range_.lower().startswith("bytes="):
            return None
        if _SEVERAL.fullmatch(range_):
            return None
        if (if_range := request.headers.get(hdrs.IF_RANGE)) is not None and not (
            await asyncio.to_thread(_is_unchanged, Path(self._path), if_range.strip())
        ):
            return None
        return _BEYOND_EVERY_FILE if _NOTHING.fullmatch(range_) else range_


async def send_file(
    request: web.Request, path: Path, size_bytes: int, headers: dict[str, str]
) -> web.StreamResponse:
    """The whole of a file that is not to be asked for again: no ranges, no validators."""
    response = web.StreamResponse(headers=headers)
    response.content_length = size_bytes
    await response.prepare(request)
    for start in range(0, size_bytes, CHUNK_BYTES):
        await response.write(await asyncio.to_thread(_read_chunk, path, start))
    await response.write_eof()
    return response


def _read_chunk(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(CHUNK_BYTES)


def _is_unchanged(path: Path, if_range: str) -> bool:
    """Whether a client that names this validator has a part of the very same file."""
    try:
        facts = path.stat()
    except OSError:
        return False
    if if_range.startswith('"'):
        return if_range == f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'  # as aiohttp makes it
    try:
        return parsedate_to_datetime(if_range).timestamp() == math.ceil(facts.st_mtime)  # likewise
    except (ValueError, OverflowError):
        return False
