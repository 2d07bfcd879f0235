"""Apple's icons: the largest picture of a file."""

from __future__ import annotations

import pyvips
from PIL.IcnsImagePlugin import IcnsFile

from imgsvc.imaging.readers.embedded import Sides, read_png_or_jpeg2000
from imgsvc.imaging.readers.files import BoundedFile
from imgsvc.imaging.readers.outline import Outline
from imgsvc.imaging.readers.pixels import to_vips

_LENGTH_AT = 4


def read_outline(file: BoundedFile, format_: str) -> Outline:
    icon = _open(file)
    width, height, scale = icon.bestsize()
    sides = Sides(width * scale, height * scale)
    for code, _ in icon.SIZES[width, height, scale]:
        if code in icon.dct and (embedded := read_png_or_jpeg2000(file, icon.dct[code][0])):
            sides = embedded  # the last one wins, as it does when pixels are read
    return Outline(*sides, bands=4, space="srgb")


def read_pixels(file: BoundedFile, format_: str) -> pyvips.Image:
    icon = _open(file)
    picture = icon.getimage(icon.bestsize())
    picture.load()
    return to_vips(picture)


def _open(file: BoundedFile) -> IcnsFile:
    """Raises EOFError for a file that is shorter than it says."""
    if int.from_bytes(file.read_at(_LENGTH_AT, 4), "big") > file.size_bytes:
        raise EOFError("the icon is cut off")
    file.seek(0)
    return IcnsFile(file)
