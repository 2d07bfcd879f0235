"""From Pillow's pictures to libvips' images."""

from __future__ import annotations

import pyvips
from PIL import Image

from imgsvc.imaging.readers.outline import Outline, Space

Image.MAX_IMAGE_PIXELS = None  # limits are ours, and checked before Pillow would look

_KINDS: dict[str, tuple[int, Space]] = {
    "L": (1, "b-w"),
    "LA": (2, "b-w"),
    "RGB": (3, "srgb"),
    "RGBA": (4, "srgb"),
    "CMYK": (4, "cmyk"),
    "I;16": (1, "grey16"),
}
"""By mode: bands and space. Every other mode is brought to one of these."""

_WIDE_GREYS = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_GREYS = frozenset({"1", "L", "F"})
_GREYS_WITH_ALPHA = frozenset({"LA", "La"})


def outline_of(picture: Image.Image) -> Outline:
    """Of a picture that is not loaded."""
    bands, space = _KINDS[_final_mode(picture)]
    return Outline(picture.width, picture.height, bands, space)


def to_vips(picture: Image.Image, profile: bytes | None = None) -> pyvips.Image:
    """The pixels of a picture that is loaded, with its colour profile.

    profile: instead of the one that Pillow found.
    """
    mode = _final_mode(picture)
    if mode == "I;16":
        image = _from_wide_grey(picture)
    else:
        bands, space = _KINDS[mode]
        pixels = picture if picture.mode == mode else picture.convert(mode)
        image = pyvips.Image.new_from_memory(
            pixels.tobytes(), picture.width, picture.height, bands, "uchar"
        ).copy(interpretation=space)
    return with_profile(image, profile or picture.info.get("icc_profile"))


def with_profile(image: pyvips.Image, profile: bytes | None) -> pyvips.Image:
    """`image` with the ICC profile, if there is one."""
    return with_blob(image, "icc-profile-data", profile)


def with_blob(image: pyvips.Image, name: str, blob: bytes | None) -> pyvips.Image:
    if not blob:
        return image
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, name, blob)
    return image


def _final_mode(picture: Image.Image) -> str:
    mode = picture.mode
    if mode in _WIDE_GREYS:
        return "I;16"
    if mode in _GREYS_WITH_ALPHA:
        return "LA"
    if mode in _GREYS:
        return "L"
    if mode == "CMYK":
        return mode
    return "RGBA" if picture.has_transparency_data else "RGB"


def _from_wide_grey(picture: Image.Image) -> pyvips.Image:
    """32-bit samples come from files of up to 16 bits."""
    sample, rawmode = ("int", "I") if picture.mode == "I" else ("ushort", "I;16")
    data = picture.tobytes("raw", rawmode)
    image = pyvips.Image.new_from_memory(data, picture.width, picture.height, 1, sample)
    return image.cast("ushort").copy(interpretation="grey16")
