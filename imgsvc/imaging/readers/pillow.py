"""Formats that Pillow reads well as they are: their headers cost nothing, their pixels wait."""

from __future__ import annotations

from importlib import import_module
from typing import cast

import pyvips
from PIL import Image
from PIL.ImageFile import ImageFile

from imgsvc.imaging.readers.files import BoundedFile
from imgsvc.imaging.readers.outline import Outline
from imgsvc.imaging.readers.pixels import outline_of, to_vips

_CLASSES = {
    "bmp": ("BmpImagePlugin", "BmpImageFile"),
    "pcx": ("PcxImagePlugin", "PcxImageFile"),
    "qoi": ("QoiImagePlugin", "QoiImageFile"),
}

Image.MAX_IMAGE_PIXELS = None  # limits are ours, and checked before Pillow would look


def read_outline(file: BoundedFile, format_: str) -> Outline:
    return outline_of(_open(file, format_))


def read_pixels(file: BoundedFile, format_: str) -> pyvips.Image:
    picture = _open(file, format_)
    picture.load()
    return to_vips(picture)


def _open(file: BoundedFile, format_: str) -> ImageFile:
    """By the class of its format: `Image.open` would try others, and swallow what is wrong."""
    module, name = _CLASSES[format_]
    return cast("ImageFile", getattr(import_module(f"PIL.{module}"), name)(file))
