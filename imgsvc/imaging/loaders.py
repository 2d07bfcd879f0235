"""The only ways in: which of libvips' loaders may run, and how a file is opened."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyvips

from imgsvc.imaging.readers.registry import FOREIGN_FORMATS, open_outline, readable_formats

LOADERS: dict[str, tuple[str, str]] = {
    "jpeg": ("jpegload", "VipsForeignLoadJpegFile"),
    "png": ("pngload", "VipsForeignLoadPngFile"),
    "webp": ("webpload", "VipsForeignLoadWebpFile"),
    "gif": ("gifload", "VipsForeignLoadNsgifFile"),
    "tiff": ("tiffload", "VipsForeignLoadTiffFile"),
    "avif": ("heifload", "VipsForeignLoadHeifFile"),
}
"""By format: libvips' operation and its class. UltraHDR comes in as the plain JPEG it is."""


def list_readable() -> tuple[str, ...]:
    """The formats that this installation reads."""
    found = [
        format_
        for format_, (operation, _) in LOADERS.items()
        if pyvips.type_find("VipsOperation", operation)
    ]
    return tuple(sorted([*found, *readable_formats()]))


@cache
def prepare() -> None:
    """Make libvips safe for hostile files; done once, before anything is opened.

    Every loader is blocked and a few are let in by name: VIPS_BLOCK_UNTRUSTED alone
    would leave the matrix loader open.
    """
    pyvips.operation_block_set("VipsForeignLoad", True)
    for _, class_name in LOADERS.values():
        pyvips.operation_block_set(class_name, False)
    pyvips.cache_set_max(0)


def open_file(path: str, format_: str, **options: Any) -> pyvips.Image:
    """The image at `path`: its header is read, its pixels come top to bottom, once.

    options: the loader's own, such as shrink. Raises pyvips.Error, here for a bad header,
    later for bad pixels: 'truncated' because the default turns what is missing black,
    and 'warning' would refuse valid files of some cameras. What is missing from a TIFF
    only counts as an 'error'.

    Of a format that libvips does not know it is an outline, without the pixels; see
    `readers`. That raises ImageError.
    """
    if format_ in FOREIGN_FORMATS:
        return open_outline(path, format_)
    operation, _ = LOADERS[format_]
    fail_on = "error" if format_ == "tiff" else "truncated"
    image: pyvips.Image = pyvips.Operation.call(
        operation, path, access="sequential", fail_on=fail_on, **options
    )
    return image
