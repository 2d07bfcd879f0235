"""What a file is made of: its blocks, and the numbers in it that mean a size or a place.

Only well enough to damage it with a purpose. Of a file that is damaged already as much is found
as can be followed; nothing here raises.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from imgsvc.domain.sniffing import HEAD_BYTES, sniff

_PNG_START = 8
_SLICES = 16
_HEAD_NUMBERS_BYTES = 48
_DEEPEST = 8
_CONTAINERS = frozenset(
    {b"meta", b"iprp", b"ipco", b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"jp2h"}
)
_FULL_BOXES = frozenset({b"meta"})
_NUMBERED = frozenset({b"ispe", b"iloc", b"ipma", b"iinf", b"ihdr", b"stsz", b"stsc", b"tkhd"})
_MOST_NUMBERS_OF_A_BOX = 40
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

Order = Literal["big", "little"]


class Span(NamedTuple):
    start: int
    end: int


class Number(NamedTuple):
    at: int
    size: int
    order: Order


@dataclass
class Structure:
    """blocks: they may lie within one another."""

    blocks: list[Span] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)


def find_structure(data: bytes) -> Structure:
    """Of a file in any format; slices and the first bytes where nothing better is known."""
    found = Structure()
    format_ = sniff(data[:HEAD_BYTES])
    walk = _WALKS.get(format_ or "")
    if walk is not None:
        walk(data, found)
    fits = _within(found.blocks, data)
    if not fits:
        found = Structure()
        _walk_slices(data, found)
        fits = _within(found.blocks, data)
    numbers = [number for number in found.numbers if 0 <= number.at <= len(data) - number.size]
    return Structure(fits, numbers)


def mend_checksums(data: bytes) -> bytes:
    """A PNG with the checksums that its chunks should have, so that its decoder reads on."""
    if not data.startswith(b"\x89PNG"):
        return data
    mended = bytearray(data)
    for start, end in _png_chunks(data):
        mended[end - 4 : end] = zlib.crc32(data[start + 4 : end - 4]).to_bytes(4, "big")
    return bytes(mended)


def _within(blocks: list[Span], data: bytes) -> list[Span]:
    return [span for span in blocks if 0 <= span.start < span.end <= len(data)]


def _png_chunks(data: bytes) -> Iterator[Span]:
    at = _PNG_START
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            return
        yield Span(at, end)
        at = end


def _walk_png(data: bytes, found: Structure) -> None:
    for start, end in _png_chunks(data):
        found.blocks.append(Span(start, end))
        found.numbers.append(Number(start, 4, "big"))
        if data[start + 4 : start + 8] in {b"IHDR", b"fcTL", b"acTL"}:
            found.numbers += [Number(at, 4, "big") for at in range(start + 8, end - 7, 4)]
            found.numbers += [Number(at, 1, "big") for at in range(start + 16, end - 4)]


def _walk_jpeg(data: bytes, found: Structure) -> None:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        found.blocks.append(Span(at, end))
        found.numbers.append(Number(at + 2, 2, "big"))
        if kind in _SOF:
            found.numbers += [Number(at + 5, 2, "big"), Number(at + 7, 2, "big")]
            found.numbers += [Number(byte, 1, "big") for byte in (at + 4, *range(at + 9, end))]
        elif kind in {0xDA, 0xDB, 0xC4, 0xDD}:
            found.numbers += [Number(byte, 1, "big") for byte in range(at + 4, min(end, at + 24))]
        if kind == 0xDA:
            end = _next_marker(data, end)
            found.blocks[-1] = Span(at, end)
        at = end


def _next_marker(data: bytes, at: int) -> int:
    """Behind coded pixels: restarts and stuffed bytes belong to them."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2
    return len(data)


def _walk_webp(data: bytes, found: Structure) -> None:
    found.numbers.append(Number(4, 4, "little"))
    _walk_riff(data, 12, len(data), found)


def _walk_riff(data: bytes, at: int, end: int, found: Structure) -> None:
    while at + 8 <= end:
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        stop = at + 8 + size + size % 2
        found.blocks.append(Span(at, stop))
        found.numbers.append(Number(at + 4, 4, "little"))
        if kind in {b"VP8X", b"ANMF"}:
            found.numbers += [Number(place, 3, "little") for place in range(at + 8, at + 23, 3)]
        elif kind in {b"VP8 ", b"VP8L"}:
            found.numbers += [Number(at + 8 + place, 2, "little") for place in (0, 1, 6, 8)]
        if kind == b"ANMF":
            _walk_riff(data, at + 24, min(stop, end), found)
        at = stop


def _walk_boxes(data: bytes, found: Structure) -> None:
    _walk_boxes_of(data, 0, len(data), found, 0)


def _walk_boxes_of(data: bytes, at: int, end: int, found: Structure, depth: int) -> None:
    while at + 8 <= end and depth < _DEEPEST:
        kind, size = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4], "big")
        stop = end if size == 0 else at + size
        if stop < at + 8:
            return
        found.blocks.append(Span(at, stop))
        found.numbers.append(Number(at, 4, "big"))
        if kind in _NUMBERED:
            places = range(at + 8, min(stop, end) - 3, 2)[:_MOST_NUMBERS_OF_A_BOX]
            found.numbers += [Number(place, 4 if kind == b"ispe" else 2, "big") for place in places]
        if kind in _CONTAINERS:
            inner = at + 8 + (4 if kind in _FULL_BOXES else 0)
            _walk_boxes_of(data, inner, min(stop, end), found, depth + 1)
        at = stop


def _walk_gif(data: bytes, found: Structure) -> None:
    found.numbers += [Number(6, 2, "little"), Number(8, 2, "little"), Number(10, 1, "little")]
    at = 13 + _palette_bytes(data[10]) if len(data) > 10 else len(data)
    while at + 10 < len(data) and data[at] in {0x21, 0x2C}:
        start = at
        if data[at] == 0x21:
            at += 2
        else:
            found.numbers += [Number(place, 2, "little") for place in range(at + 1, at + 9, 2)]
            found.numbers.append(Number(at + 9, 1, "little"))
            at += 10 + _palette_bytes(data[at + 9])
            found.numbers.append(Number(at, 1, "little"))  # the width of codes
            at += 1
        while at < len(data) and data[at]:
            found.numbers.append(Number(at, 1, "little"))
            at += data[at] + 1
        at += 1
        found.blocks.append(Span(start, at))


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _walk_tiff(data: bytes, found: Structure) -> None:
    """Directories one after the other; entries are blocks, their counts and values numbers."""
    order: Order = "little" if data[:2] == b"II" else "big"
    is_big = data[2:4] in {b"+\0", b"\0+"}
    place, count_bytes, entry_bytes, word = (8, 8, 20, 8) if is_big else (4, 2, 12, 4)
    seen: set[int] = set()
    while place + word <= len(data):
        found.numbers.append(Number(place, word, order))
        at = int.from_bytes(data[place : place + word], order)
        if at == 0 or at in seen or at + count_bytes > len(data):
            return
        seen.add(at)
        found.numbers.append(Number(at, count_bytes, order))
        entries = int.from_bytes(data[at : at + count_bytes], order)
        at += count_bytes
        for _ in range(min(entries, 100)):
            found.blocks.append(Span(at, at + entry_bytes))
            found.numbers += [Number(at, 2, order), Number(at + 2, 2, order)]
            found.numbers += [Number(at + 4, word, order), Number(at + 4 + word, word, order)]
            at += entry_bytes
        place = at


def _walk_slices(data: bytes, found: Structure) -> None:
    step = max(1, len(data) // _SLICES)
    found.blocks += [Span(at, min(at + step, len(data))) for at in range(0, len(data), step)]
    orders: tuple[Order, ...] = ("big", "little")
    for at in range(2, min(len(data), _HEAD_NUMBERS_BYTES), 2):
        found.numbers += [Number(at, size, order) for size in (2, 4) for order in orders]


_WALKS: dict[str, Callable[[bytes, Structure], None]] = {
    "png": _walk_png,
    "jpeg": _walk_jpeg,
    "webp": _walk_webp,
    "gif": _walk_gif,
    "tiff": _walk_tiff,
    "avif": _walk_boxes,
    "heic": _walk_boxes,
    "jp2": _walk_boxes,
    "jxl": _walk_boxes,
}
