"""The beginning of a JPEG XL codestream: its plug-in decodes everything before it tells anything.

ISO 18181-1, annex B (how numbers are written) and D (headers).
"""

from __future__ import annotations

from dataclasses import dataclass

_BARE = b"\xff\x0a"

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_ALPHA, _SPOT_COLOUR, _BLACK, _COLOUR_FILTER = 0, 2, 4, 5
_GREY = 1
_FLOAT16_BITS = 16

Choice = tuple[int, int]
"""One of four ways to write a number: a start, and how many bits to add to it."""

_SIDE: tuple[Choice, ...] = ((1, 9), (1, 13), (1, 18), (1, 30))
_SMALL_SIDE: tuple[Choice, ...] = ((1, 6), (65, 8), (321, 10), (1345, 12))
_SMALL_SIDE_BY_8: tuple[Choice, ...] = ((16, 0), (32, 0), (1, 5), (33, 9))
_ENUM: tuple[Choice, ...] = ((0, 0), (1, 0), (2, 4), (18, 6))


@dataclass(frozen=True, slots=True)
class Facts:
    """width, height: pixels, upright. depth: bits a sample. colours: 1 for grey, else 3."""

    width: int
    height: int
    depth: int
    colours: int
    has_alpha: bool
    has_black: bool
    is_animated: bool


def read_facts(codestream: bytes) -> Facts:
    """Raises EOFError when it is cut off in the header, ValueError when it is none."""
    if not codestream.startswith(_BARE):
        raise ValueError("no codestream")
    bits = _Bits(codestream[len(_BARE) :])
    width, height = _read_size(bits)
    if bits.flag():  # all as usual: 8 bits, RGB, no alpha
        return Facts(width, height, 8, 3, has_alpha=False, has_black=False, is_animated=False)
    orientation, is_animated = _read_extra_fields(bits) if bits.flag() else (1, False)
    if orientation >= 5:
        width, height = height, width
    depth = _read_depth(bits)
    bits.flag()  # 16-bit buffers are enough
    kinds = [_read_channel(bits) for _ in range(bits.number((0, 0), (1, 0), (2, 4), (1, 12)))]
    bits.flag()  # XYB
    return Facts(
        width,
        height,
        depth,
        colours=1 if _is_grey(bits) else 3,
        has_alpha=_ALPHA in kinds,
        has_black=_BLACK in kinds,
        is_animated=is_animated,
    )


class _Bits:
    """Read from the lowest bit of the first byte on."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> int:
        first, last = self._at >> 3, (self._at + count + 7) >> 3
        if last > len(self._data):
            raise EOFError("the header is cut off")
        value = int.from_bytes(self._data[first:last], "little") >> (self._at & 7)
        self._at += count
        return value & ((1 << count) - 1)

    def flag(self) -> bool:
        return bool(self.take(1))

    def number(self, *choices: Choice) -> int:
        start, count = choices[self.take(2)]
        return start + self.take(count)


def _read_size(bits: _Bits) -> tuple[int, int]:
    """D.2: sides, as such or in eights, the width also as a ratio of the height."""
    by_8 = bits.flag()

    def read_side() -> int:
        return 8 * (1 + bits.take(5)) if by_8 else bits.number(*_SIDE)

    height = read_side()
    ratio = bits.take(3)
    return (_apply_ratio(ratio, height) if ratio else read_side()), height


def _skip_preview(bits: _Bits) -> None:
    by_8 = bits.flag()
    choices = _SMALL_SIDE_BY_8 if by_8 else _SMALL_SIDE
    bits.number(*choices)
    if not bits.take(3):
        bits.number(*choices)


def _apply_ratio(ratio: int, height: int) -> int:
    over, under = _RATIOS[ratio - 1]
    return height * over // under


def _read_extra_fields(bits: _Bits) -> tuple[int, bool]:
    """Orientation as in EXIF, and whether it is an animation."""
    orientation = 1 + bits.take(3)
    if bits.flag():
        _read_size(bits)  # how large it would like to be shown
    if bits.flag():
        _skip_preview(bits)
    is_animated = bits.flag()
    if is_animated:
        bits.number((100, 0), (1000, 0), (1, 10), (1, 30))
        bits.number((1, 0), (1001, 0), (1, 8), (1, 10))
        bits.number((0, 0), (0, 3), (0, 16), (0, 32))
        bits.flag()
    return orientation, is_animated


def _read_depth(bits: _Bits) -> int:
    if not bits.flag():
        return bits.number((8, 0), (10, 0), (12, 0), (1, 6))
    depth = bits.number((32, 0), (16, 0), (24, 0), (1, 6))
    bits.take(4)  # of them the exponent
    return depth


def _read_channel(bits: _Bits) -> int:
    """What a channel beyond the colours is for (D.3.6)."""
    if bits.flag():
        return _ALPHA
    kind = bits.number(*_ENUM)
    _read_depth(bits)
    bits.number((0, 0), (3, 0), (4, 0), (1, 3))
    bits.take(8 * bits.number((0, 0), (0, 4), (16, 5), (48, 10)))  # its name
    if kind == _ALPHA:
        bits.flag()
    elif kind == _SPOT_COLOUR:
        bits.take(4 * _FLOAT16_BITS)
    elif kind == _COLOUR_FILTER:
        bits.number((1, 0), (0, 2), (3, 4), (19, 8))
    return kind


def _is_grey(bits: _Bits) -> bool:
    if bits.flag():  # sRGB
        return False
    bits.flag()  # an ICC profile follows
    return bits.number(*_ENUM) == _GREY
