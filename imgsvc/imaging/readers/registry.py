"""Which reader reads what, and the two ways into all of them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

import pyvips

from imgsvc.errors import ImageError, ImageErrorCode
from imgsvc.imaging.readers.files import BoundedFile
from imgsvc.imaging.readers.outline import Outline
from imgsvc.imaging.translation import corrupt_image, reading_elsewhere

_MODULES = {
    "bmp": "pillow",
    "dds": "dds",
    "pcx": "pillow",
    "ppm": "ppm",
    "qoi": "pillow",
    "ico": "ico",
    "icns": "icns",
    "jp2": "jp2",
    "psd": "psd",
    "heic": "heic",
    "jxl": "jxl",
}
FOREIGN_FORMATS = frozenset(_MODULES)

_PLUGINS = {"heic": ("pillow_heif", "HEIC"), "jxl": ("pillow_jxl", "JPEG XL")}
"""By format: the package that has to be installed besides, and what people call the format."""

_UPRIGHT = 1


class Reader(Protocol):
    """What a module here does. Both raise what `translation.reading_elsewhere` understands."""

    def read_outline(self, file: BoundedFile, format_: str) -> Outline:
        """From the header alone, in memory that does not depend on what it promises."""
        ...

    def read_pixels(self, file: BoundedFile, format_: str) -> pyvips.Image:
        """The picture in memory, upright, its profile in "icc-profile-data" if it has one."""
        ...


def readable_formats() -> tuple[str, ...]:
    """Those whose plug-in is installed, or that need none."""
    return tuple(sorted(format_ for format_ in FOREIGN_FORMATS if not _is_missing(format_)))


def missing_formats() -> tuple[str, ...]:
    """What people call the formats that a plug-in would add."""
    return tuple(name for format_, (_, name) in _PLUGINS.items() if _is_missing(format_))


def open_outline(path: str, format_: str) -> pyvips.Image:
    """An image of the size and kind that the file at `path` promises, without its pixels.

    Raises ImageError with unsupported_format, corrupt_image or out_of_memory.
    """
    with reading_elsewhere(), BoundedFile(path) as file:
        return _find_reader(format_).read_outline(file, format_).stand_in()


def read_pixels(path: str, format_: str, promised: pyvips.Image) -> pyvips.Image:
    """The picture in the file at `path`; `promised` is what `open_outline` made of it.

    Raises ImageError as `open_outline` does, and with corrupt_image for a picture of another
    size: limits and memory were checked for the one that was promised.
    """
    with reading_elsewhere(), BoundedFile(path) as file:
        image = _find_reader(format_).read_pixels(file, format_)
    if (image.width, image.height) != (promised.width, promised.height):
        raise corrupt_image()
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", _UPRIGHT)  # whatever its EXIF says
    return image


def _find_reader(format_: str) -> Reader:
    if _is_missing(format_):
        _, name = _PLUGINS[format_]
        raise ImageError(
            ImageErrorCode.UNSUPPORTED_FORMAT, f"{name} needs the extra imgsvc[formats]."
        )
    return cast("Reader", import_module(f"imgsvc.imaging.readers.{_MODULES[format_]}"))


def _is_missing(format_: str) -> bool:
    return format_ in _PLUGINS and find_spec(_PLUGINS[format_][0]) is None
