"""DirectDraw textures: the first and largest picture of a file."""

from __future__ import annotations

from typing import cast

import pyvips
from PIL.DdsImagePlugin import DdsImageFile

from imgsvc.imaging.readers.files import BoundedFile
from imgsvc.imaging.readers.outline import Outline
from imgsvc.imaging.readers.pixels import outline_of, to_vips

_ONE_BY_ONE = "dds_rgb"
_HEADER_BYTES = 128
_RED_HIGH, _RED_LOW = (0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000)
_ALPHA = 0xFF000000
_LAYOUTS = {
    (32, (*_RED_HIGH, _ALPHA)): "BGRA",
    (32, (*_RED_LOW, _ALPHA)): "RGBA",
    (32, _RED_HIGH): "BGRX",
    (32, _RED_LOW): "RGBX",
    (24, _RED_HIGH): "BGR",
    (24, _RED_LOW): "RGB",
}
"""By bits a pixel and masks: whole bytes, which Pillow unpacks a thousand times as fast."""


def read_outline(file: BoundedFile, format_: str) -> Outline:
    return outline_of(DdsImageFile(file))


def read_pixels(file: BoundedFile, format_: str) -> pyvips.Image:
    picture = DdsImageFile(file)
    (tile,) = picture.tile
    arrangement = cast("tuple[int, tuple[int, ...]]", tile.args)
    layout = _LAYOUTS.get(arrangement) if tile.codec_name == _ONE_BY_ONE else None
    if layout:
        picture.tile = [tile._replace(codec_name="raw", offset=_HEADER_BYTES, args=(layout, 0, 1))]
    picture.load()
    return to_vips(picture)
