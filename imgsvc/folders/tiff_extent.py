"""How far a TIFF file reaches, by what its directories name (TIFF 6.0, section 2; BigTIFF)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import calcsize, unpack_from

ReadAt = Callable[[int, int], bytes]

_MOST_DIRECTORIES = 64
_MOST_ENTRIES = 4096
_MOST_VALUES = 65_536
"""Of one tag. After four times as many in all no further directory is read."""

_OFFSETS = {273: 279, 324: 325}
"""Tags of where strips and tiles stand, and of how long they are."""

_INTEGERS = {3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True, slots=True)
class _Layout:
    """Formats of the parts of a file, as `struct` spells them."""

    order: str
    count: str
    offset: str
    first: int

    @property
    def entry_bytes(self) -> int:
        return 4 + 2 * calcsize(self.offset)


def find_tiff_extent(read_at: ReadAt) -> int:
    """Bytes that the file must have at least. Raises struct.error when it ends inside a
    directory, as it does while a copy is under way.
    """
    layout = _read_layout(read_at(0, 16))
    (at,) = unpack_from(layout.order + layout.offset, read_at(layout.first, 8))
    extent, seen, values = layout.first, set[int](), 0
    while at and at not in seen and len(seen) < _MOST_DIRECTORIES and values < 4 * _MOST_VALUES:
        seen.add(at)
        reach, at, count = _read_directory(read_at, layout, at)
        extent = max(extent, reach)
        values += count
    return extent


def _read_layout(head: bytes) -> _Layout:
    order = "<" if head.startswith(b"II") else ">"
    (version,) = unpack_from(order + "H", head, 2)
    return _Layout(order, "Q", "Q", 8) if version == 43 else _Layout(order, "H", "I", 4)


def _read_directory(read_at: ReadAt, layout: _Layout, at: int) -> tuple[int, int, int]:
    """How far its strips and tiles reach, where the next one stands, 0 for none, and how many
    values were read.
    """
    count_bytes = calcsize(layout.count)
    (count,) = unpack_from(layout.order + layout.count, read_at(at, count_bytes))
    count = min(count, _MOST_ENTRIES)
    start, size = at + count_bytes, count * layout.entry_bytes
    table = read_at(start, size + calcsize(layout.offset))
    (following,) = unpack_from(layout.order + layout.offset, table, size)
    values: dict[int, tuple[int, ...]] = {}
    for place in range(0, size, layout.entry_bytes):
        (tag,) = unpack_from(layout.order + "H", table, place)
        # A tag stands there once; who repeats it makes us read the same again and again.
        if tag not in values and (tag in _OFFSETS or tag in _OFFSETS.values()):
            values[tag] = _read_values(read_at, layout, table, place)
    reach = start + size
    for offsets, lengths in _OFFSETS.items():
        ends = map(sum, zip(values.get(offsets, ()), values.get(lengths, ()), strict=False))
        reach = max(reach, *ends, 0)
    return reach, following, sum(map(len, values.values()))


def _read_values(read_at: ReadAt, layout: _Layout, table: bytes, place: int) -> tuple[int, ...]:
    kind, number = unpack_from(f"{layout.order}H{layout.offset}", table, place + 2)
    code = _INTEGERS.get(kind)
    if code is None:
        return ()
    number = min(number, _MOST_VALUES)
    form = f"{layout.order}{number}{code}"
    inline = place + 4 + calcsize(layout.offset)
    if calcsize(form) <= calcsize(layout.offset):
        return unpack_from(form, table, inline)
    (at,) = unpack_from(layout.order + layout.offset, table, inline)
    return unpack_from(form, read_at(at, calcsize(form)))
