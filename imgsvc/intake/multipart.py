"""multipart/form-data as a stream: fields whole, files in chunks as they arrive."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from imgsvc.domain.input_names import clean_name
from imgsvc.errors import MalformedRequest, PayloadTooLarge
from imgsvc.intake.documents import Documents
from imgsvc.intake.filenames import parse_header, pick_filename
from imgsvc.intake.json_document import count_values

MAX_SPEC_BYTES = 16 << 20
MAX_FIELD_BYTES = 64 << 10
MAX_FIELDS = 64
_TURN_BYTES = 32 << 10
"""What is parsed before others have their turn: some milliseconds, where parts are tiny."""

_HEADERS_END = b"\r\n\r\n"
_AFTER_PART, _AFTER_LAST, _PADDING = b"\r\n", b"--", b" \t"
"""What makes a part's end of what looks like it (RFC 2046, 5.1.1)."""
_MAX_HEADERS = 16
_MAX_HEADER_BYTES = 16 << 10
_NOT_TOLD_APART = "The form's parts cannot be told apart."
_PLAIN_ENCODINGS = frozenset({"", "7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True)
class Field:
    """A part without a filename."""

    name: str
    value: bytes

    def text(self) -> str:
        """Raises MalformedRequest when the value is not UTF-8."""
        try:
            return self.value.decode()
        except UnicodeDecodeError as exc:
            raise MalformedRequest("A form field is not UTF-8.") from exc


@dataclass(frozen=True, slots=True)
class FilePart:
    """A part with a filename.

    chunks: to be read before the next part is asked for; what is not read by then is
        dropped.
    filename: cleaned, with its folders; None when it was sent empty.
    content_type: as sent, None when there was none.
    """

    name: str
    filename: str | None
    content_type: str | None
    chunks: AsyncIterator[bytes]


async def read_multipart(
    content_type: str,
    chunks: AsyncIterable[bytes],
    documents: Documents,
    *,
    max_spec_bytes: int = MAX_SPEC_BYTES,
    max_field_bytes: int = MAX_FIELD_BYTES,
) -> AsyncGenerator[Field | FilePart, None]:
    """The parts of a body, in order; an empty file field, as browsers send, is skipped.

    content_type: the request's header, which names the boundary.
    Raises MalformedRequest for broken framing and a body that ends early,
    PayloadTooLarge for a field that is too long or one too many, RateLimited when
    `documents` has no room for one. What `chunks` raises comes through.
    """
    reader = _Reader(_boundary(content_type), chunks)
    fields_left = MAX_FIELDS
    while (headers := await reader.next_headers()) is not None:
        name, filename, part_type = _read_headers(headers)
        if filename is None:
            fields_left -= 1
            if fields_left < 0:
                raise PayloadTooLarge(f"More than {MAX_FIELDS} form fields.")
            cap = max_spec_bytes if name == "spec" else max_field_bytes
            yield Field(name, await _read_field(reader, documents, name, cap))
        elif filename or await reader.has_data():
            yield FilePart(name, clean_name(filename), part_type, reader.part_chunks())


async def _read_field(reader: _Reader, documents: Documents, name: str, max_bytes: int) -> bytes:
    value = bytearray()
    async for chunk in reader.part_chunks():
        value += chunk
        if len(value) > max_bytes:
            label = name if name == "spec" else "of the form"
            raise PayloadTooLarge(f"The field {label} is longer than {max_bytes} bytes.")
        documents.take(chunk, count_values(chunk) if name == "spec" else 0)
    return bytes(value)


def _boundary(content_type: str) -> bytes:
    kind, parameters = parse_header(content_type.encode("utf-8", "surrogateescape"))
    boundary = parameters.get("boundary", "")
    if kind != "multipart/form-data" or not boundary.isascii() or not 1 <= len(boundary) <= 200:
        raise MalformedRequest("The form's boundary is missing or not valid.")
    return boundary.encode()


def _read_headers(headers: dict[str, bytes]) -> tuple[str, str | None, str | None]:
    """Name, filename as sent (None for a plain field) and type of a part."""
    kind, parameters = parse_header(headers.get("content-disposition", b""))
    filename = pick_filename(parameters)
    if kind != "form-data" or ("name" not in parameters and filename is None):
        raise MalformedRequest("A part of the form has no name.")
    encoding = headers.get("content-transfer-encoding", b"").strip().lower()
    if encoding.decode("latin-1") not in _PLAIN_ENCODINGS:
        raise MalformedRequest("Parts of a form must not be transfer-encoded.")
    part_type = headers.get("content-type")
    return (
        parameters.get("name", ""),
        filename,
        part_type.decode("latin-1") if part_type is not None else None,
    )


class _PartEnd:
    """Marks the end of a part among the events."""


_Event = dict[str, bytes] | bytes | _PartEnd
_PART_END = _PartEnd()


class _Reader:
    """Turns a body into events, step by step: the bytes of a part, nearly all of a body, are only
    searched for its end, and never come before the parser, which takes what stands around them.

    What waits in `_events` is never more than one step finds.
    """

    def __init__(self, boundary: bytes, chunks: AsyncIterable[bytes]) -> None:
        self._delimiter = b"--" + boundary
        self._part_end = b"\r\n" + self._delimiter
        self._chunks = aiter(chunks)
        self._chunk = b""
        self._begin = 0  # of what is left of the chunk
        self._preamble: bytes | None = b"\n"  # a boundary may also be the first line
        self._is_in_part = False  # behind its headers, that is
        self._turn_bytes = 0
        self._events: deque[_Event] = deque()
        self._ended = False
        self._headers: dict[str, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        callbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        self._parser = MultipartParser(
            boundary,
            callbacks,  # type: ignore[arg-type,unused-ignore]
            max_header_count=_MAX_HEADERS,
            max_header_size=_MAX_HEADER_BYTES,
        )

    async def next_headers(self) -> dict[str, bytes] | None:
        """Headers of the next part, past what is unread of this one; None after the last."""
        while await self._fill():
            event = self._events.popleft()
            if isinstance(event, dict):
                return event
        return None

    async def has_data(self) -> bool:
        """Whether the part that has just begun holds any byte."""
        return await self._fill() and isinstance(self._events[0], bytes)

    async def part_chunks(self) -> AsyncIterator[bytes]:
        while await self._fill() and isinstance(self._events[0], bytes):
            chunk = self._events.popleft()
            if isinstance(chunk, bytes):
                yield chunk

    async def _fill(self) -> bool:
        """Read on until there is an event; False when the body is over.

        The body is read to its very end, so that one cut off by the transport is noticed.
        """
        while not self._events:
            if self._turn_bytes >= _TURN_BYTES:
                await asyncio.sleep(0)
                self._turn_bytes = 0
            if not (self._pass_bytes() if self._is_in_part else self._parse_headers()):
                try:
                    await self._read_on()
                except StopAsyncIteration:
                    if not self._ended:
                        raise MalformedRequest("The form ends before its last boundary.") from None
                    return False
        return True

    async def _read_on(self) -> None:
        """Raises StopAsyncIteration."""
        chunk = await anext(self._chunks)
        rest = self._chunk[self._begin :]
        self._chunk, self._begin = rest + chunk if rest else chunk, 0
        if self._preamble is not None:
            self._skip_preamble(self._preamble)

    def _skip_preamble(self, before: bytes) -> None:
        """What stands before the first boundary is nobody's (RFC 2046, 5.1.1); the parser takes
        none. before: the end of it so far, in which a boundary may begin. Raises MalformedRequest
        for a boundary within a line: with it a part would be passed over.
        """
        seen = before + self._chunk
        begin = seen.find(self._delimiter)
        if begin < 0:
            self._preamble, self._chunk = seen[-len(self._delimiter) :], b""
        elif seen[begin - 1] in b"\r\n":
            self._preamble, self._chunk = None, seen[begin:]
        else:
            raise MalformedRequest(_NOT_TOLD_APART)

    def _pass_bytes(self) -> bool:
        """Pass on what the chunk has of this part; False when more is needed."""
        begin = end = self._begin
        while self._turn_bytes < _TURN_BYTES:
            end = _find(self._part_end, self._chunk, end)
            behind = end + len(self._part_end)
            follows = self._chunk[behind : behind + len(_AFTER_LAST)]
            if len(follows) < len(_AFTER_LAST):
                break
            if follows in (_AFTER_PART, _AFTER_LAST) or follows[:1] in _PADDING:
                self._is_in_part = False
                break
            end = behind  # it only looked like the part's end
            self._turn_bytes += len(self._part_end)
        if end > begin:
            self._events.append(self._chunk[begin:end])
        self._begin = end
        return end > begin or not self._is_in_part

    def _parse_headers(self) -> bool:
        """Parse what comes next up to a part's first byte; False when more is needed."""
        begin = self._begin
        end = _find(_HEADERS_END, self._chunk, begin, begin + _TURN_BYTES)
        if self._chunk.startswith(_HEADERS_END, end):
            end += len(_HEADERS_END)
        try:
            self._parser.write(self._chunk[begin:end])
        except FormParserError as exc:
            raise MalformedRequest(_NOT_TOLD_APART) from exc
        self._begin = end
        self._turn_bytes += end - begin
        return end > begin

    def _on_part_begin(self) -> None:
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        name = self._header_name.decode("latin-1").lower()
        if name in self._headers:
            raise MalformedRequest("A part of the form has the same header twice.")
        self._headers[name] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        self._events.append(self._headers)
        self._is_in_part = True

    def _on_part_end(self) -> None:
        self._events.append(_PART_END)

    def _on_end(self) -> None:
        self._ended = True


def _find(needle: bytes, data: bytes, begin: int, end: int | None = None) -> int:
    """Where it stands between `begin` and `end`, else where its beginning stands at the end, else
    the end.
    """
    found = data.find(needle, begin, end)
    if found >= 0:
        return found
    end = len(data) if end is None else min(end, len(data))
    found = data.find(needle[:1], max(begin, end - len(needle) + 1), end)
    while found >= 0 and not needle.startswith(data[found:end]):
        found = data.find(needle[:1], found + 1, end)
    return found if found >= 0 else end
