"""Formats that Pillow reads well as they are: their headers cost nothing, their pixels wait."""

from __future__ import annotations

import pyvips
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.PcxImagePlugin import PcxImageFile
from PIL.QoiImagePlugin import QoiImageFile

from imgsvc.imaging.readers.files import BoundedFile
from imgsvc.imaging.readers.outline import Outline
from imgsvc.imaging.readers.pixels import outline_of, to_vips

_CLASSES: dict[str, type[ImageFile]] = {
    "bmp": BmpImageFile,
    "pcx": PcxImageFile,
    "qoi": QoiImageFile,
}
"""Used as they are: `Image.open` would try others too, and swallow what is wrong."""


def read_outline(file: BoundedFile, format_: str) -> Outline:
    return outline_of(_CLASSES[format_](file))


def read_pixels(file: BoundedFile, format_: str) -> pyvips.Image:
    picture = _CLASSES[format_](file)
    picture.load()
    return to_vips(picture)
