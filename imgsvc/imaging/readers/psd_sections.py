"""A Photoshop file up to its flat picture: Adobe Photoshop File Formats Specification, 2019."""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack

from imgsvc.imaging.readers.files import BoundedFile

_HEADER_BYTES = 26
_LARGE_VERSION = 2
_PROFILE_RESOURCE = 1039
_VERSION_RESOURCE = 1057
_MIN_RESOURCE_BYTES = 12
_MOST_RESOURCES = 5_000
"""Photoshop knows some hundred kinds, most of which stand once."""


@dataclass(frozen=True, slots=True)
class Sections:
    """depth: bits a sample. mode: of colours, as in the file header.

    palette: reds, then greens, then blues; empty where the mode has none.
    has_composite: the flat picture is really there. alpha_is_transparency: the first channel
    beyond the colours says what can be seen through; otherwise it is somebody's selection.
    counts_bytes: of the length of one packed line. pixels_at: offset of the flat picture.
    """

    width: int
    height: int
    channels: int
    depth: int
    mode: int
    palette: bytes
    profile: bytes | None
    has_composite: bool
    alpha_is_transparency: bool
    counts_bytes: int
    pixels_at: int


def read_sections(file: BoundedFile) -> Sections:
    """Raises struct.error when the file ends too early, ValueError when it never seems to."""
    header = file.read_at(0, _HEADER_BYTES)
    _, version, _, channels, height, width, depth, mode = unpack(">4sH6sHIIHH", header)
    is_large = version == _LARGE_VERSION
    palette_at, at = _read_extent(file, _HEADER_BYTES)
    palette = file.read_at(palette_at, at - palette_at)
    resources_at, layers_at = _read_extent(file, at)
    resources = _read_resources(file, resources_at, layers_at)
    layers_info_at, at = _read_extent(file, layers_at, long=is_large)
    composite = resources.get(_VERSION_RESOURCE, b"\x00\x00\x00\x01\x01")
    return Sections(
        width=width,
        height=height,
        channels=channels,
        depth=depth,
        mode=mode,
        palette=palette,
        profile=resources.get(_PROFILE_RESOURCE),
        has_composite=composite[4:5] != b"\x00",
        alpha_is_transparency=_names_transparency(file, layers_info_at, at, is_large=is_large),
        counts_bytes=4 if is_large else 2,
        pixels_at=at,
    )


def _read_extent(file: BoundedFile, at: int, *, long: bool = False) -> tuple[int, int]:
    """Where the content of the section at `at` begins, and where it ends."""
    size = 8 if long else 4
    (length,) = unpack(">Q" if long else ">I", file.read_at(at, size))
    return at + size, at + size + length


def _read_resources(file: BoundedFile, at: int, end: int) -> dict[int, bytes]:
    """Those that are of use here, by their number."""
    found: dict[int, bytes] = {}
    for _ in range(_MOST_RESOURCES):
        if at + _MIN_RESOURCE_BYTES > end:
            return found
        number, name_bytes = unpack(">4xHB", file.read_at(at, 7))
        length_at = at + 6 + _even(1 + name_bytes)
        data_at, data_end = _read_extent(file, length_at)
        if number in (_PROFILE_RESOURCE, _VERSION_RESOURCE):
            found[number] = file.read_at(data_at, data_end - data_at)
        at = data_at + _even(data_end - data_at)
    raise ValueError("more resources than a file has")


def _names_transparency(file: BoundedFile, at: int, end: int, *, is_large: bool) -> bool:
    """A negative number of layers is how a file says so."""
    if at >= end:
        return False
    layers_at, layers_end = _read_extent(file, at, long=is_large)
    if layers_at >= layers_end:
        return False
    (layers,) = unpack(">h", file.read_at(layers_at, 2))
    return bool(layers < 0)


def _even(number: int) -> int:
    return number + number % 2
