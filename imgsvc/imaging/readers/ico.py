"""Windows icons: the largest picture of a file, in the most colours."""

from __future__ import annotations

import pyvips
from PIL.IcoImagePlugin import IcoFile

from imgsvc.imaging.readers.embedded import read_icon_bitmap, read_png_or_jpeg2000
from imgsvc.imaging.readers.files import BoundedFile
from imgsvc.imaging.readers.outline import Outline
from imgsvc.imaging.readers.pixels import to_vips


def read_outline(file: BoundedFile, format_: str) -> Outline:
    icon = IcoFile(file)
    offset = icon.entry[_find_best(icon)].offset
    sides = read_png_or_jpeg2000(file, offset) or read_icon_bitmap(file, offset)
    return Outline(*sides, bands=4, space="srgb")


def read_pixels(file: BoundedFile, format_: str) -> pyvips.Image:
    icon = IcoFile(file)
    picture = icon.frame(_find_best(icon))
    picture.load()
    return to_vips(picture)


def _find_best(icon: IcoFile) -> int:
    """Among equal sizes Pillow itself would take the one with the fewest colours."""
    entries = icon.entry
    return max(range(len(entries)), key=lambda at: (entries[at].square, entries[at].bpp))
