"""JPEG 2000, in a file of boxes or bare."""

from __future__ import annotations

import pyvips
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from imgsvc.imaging.readers import codestream
from imgsvc.imaging.readers.files import BoundedFile
from imgsvc.imaging.readers.outline import Outline
from imgsvc.imaging.readers.pixels import outline_of, to_vips
from imgsvc.imaging.translation import corrupt_image

_CMYK = b"CMYK"
_MAX_COMPONENTS = 4


def read_outline(file: BoundedFile, format_: str) -> Outline:
    return outline_of(_open(file)[0])


def read_pixels(file: BoundedFile, format_: str) -> pyvips.Image:
    """Pillow does not look at the profile, and takes any fourth component for alpha."""
    picture, profile = _open(file)
    picture.load()
    image = to_vips(picture, profile)
    if picture.mode == "RGBA" and profile is not None and profile[16:20] == _CMYK:
        return image.copy(interpretation="cmyk")
    return image


def _open(file: BoundedFile) -> tuple[Jpeg2KImageFile, bytes | None]:
    """The picture, not loaded, and its profile.

    The boxes tell a size, and the codestream tells what is really decoded.
    """
    stream = codestream.find(file)
    if stream.components > _MAX_COMPONENTS:
        raise NotImplementedError("more components than a picture has")
    file.seek(0)
    picture = Jpeg2KImageFile(file)
    if picture.size != (stream.width, stream.height):
        raise corrupt_image()
    return picture, stream.profile
