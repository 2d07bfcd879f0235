"""JPEG XL, by the decoder of pillow-jxl-plugin.

Pillow's own way through the plug-in would decode when the file is opened, before any limit
is checked. The codestream goes in without its boxes: it is then always decoded to upright
pixels, also where the boxes would let a JPEG be put together again.
"""

from __future__ import annotations

import pyvips
from pillow_jxl import Decoder

from imgsvc.imaging.readers.files import BoundedFile
from imgsvc.imaging.readers.jxl_boxes import Contents, read_contents
from imgsvc.imaging.readers.jxl_header import Facts, read_facts
from imgsvc.imaging.readers.outline import Outline, Space
from imgsvc.imaging.readers.pixels import with_blob, with_profile

_EXIF_START = b"Exif\x00\x00"

_SAMPLES = {"I;16": "ushort", "F": "float"}
"""By the plug-in's mode, where they are not bytes."""

_FULL = 255
_BYTE_BITS = 8


def read_outline(file: BoundedFile, format_: str) -> Outline:
    _, facts = _read(file)
    space = _space(facts)
    if facts.depth > _BYTE_BITS:  # most of it is lost later, but memory is needed for all
        space = "grey16" if space == "b-w" else "rgb16"
    return Outline(facts.width, facts.height, _count_bands(facts), space)


def read_pixels(file: BoundedFile, format_: str) -> pyvips.Image:
    contents, facts = _read(file)
    decode = Decoder(num_threads=0)  # in this very thread
    _, info, data, profile, _ = decode(contents.codestream)
    sample = _SAMPLES.get(info.mode, "uchar")
    image = pyvips.Image.new_from_memory(data, info.width, info.height, _count_bands(facts), sample)
    if sample == "float":  # the plug-in tells of one mode for all depths
        image = (image * _FULL).rint().cast("uchar")
    space: Space = "grey16" if sample == "ushort" else _space(facts)
    image = with_profile(image.copy(interpretation=space), profile)
    exif = _EXIF_START + contents.exif if contents.exif else None
    return with_blob(with_blob(image, "exif-data", exif), "xmp-data", contents.xmp)


def _read(file: BoundedFile) -> tuple[Contents, Facts]:
    """Raises NotImplementedError for what the plug-in would get wrong without a word."""
    contents = read_contents(file)
    facts = read_facts(contents.codestream)
    if facts.is_animated:
        raise NotImplementedError("the decoder would show the last frame")
    if facts.has_black:
        raise NotImplementedError("the decoder leaves black ink out")
    return contents, facts


def _count_bands(facts: Facts) -> int:
    return facts.colours + facts.has_alpha


def _space(facts: Facts) -> Space:
    return "b-w" if facts.colours == 1 else "srgb"
