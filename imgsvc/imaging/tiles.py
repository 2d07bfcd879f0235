"""Tiles of a TIFF that cannot be read."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.loaders import open_file
from imgsvc.imaging.probe import Header
from imgsvc.imaging.translation import reading

_LIBTIFF = b"tiff2vips: "
"""What libvips puts before an error of libtiff."""


def check_tiles(path: str, header: Header) -> None:
    """A pass over the pixels of a TIFF in tiles; nothing for any other file.

    libvips makes a tile black that cannot be read, and notes why. With `fail_on='warning'` it
    would refuse most such files, not those whose colours are subsampled, and also sound ones for
    an odd tag. The note does not outlive the next look at an attribute of an image, so it cannot
    be found later.
    Raises ImageError with corrupt_image or unsupported_format.
    """
    if not header.has_tiles:
        return
    with reading():
        image = open_file(path, header.format)
        pyvips.vips_lib.vips_error_clear()
        image.avg()
        if _LIBTIFF in pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()):
            raise pyvips.Error("a tile cannot be read")  # it takes the notes along
