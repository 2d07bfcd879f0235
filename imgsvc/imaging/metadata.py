"""What goes along with the pixels: EXIF, XMP, IPTC and the colour profile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import pyvips

from imgsvc.imaging.rights import keep_rights
from imgsvc.recipes.formats import FORMATS

_FIELDS = {
    "exif": "exif-data",
    "xmp": "xmp-data",
    "iptc": "iptc-data",
    "icc": "icc-profile-data",
}
_ANIMATION_FIELDS = frozenset({"page-height", "delay", "loop", "n-pages"})
_GEOMETRY_FIELDS = frozenset(
    {"width", "height", "bands", "format", "coding", "interpretation", "filename"}
    | {"xoffset", "yoffset", "xres", "yres"}
)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Blocks as they stand in the file; None for what it does not have.

    incomplete: something was there that cannot be kept.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    icc: bytes | None = None
    incomplete: bool = False


class Dressed(NamedTuple):
    """dropped: whether something of the metadata found no place in the format."""

    image: pyvips.Image
    dropped: bool


def read_metadata(header_image: pyvips.Image) -> Metadata:
    blocks = {
        kind: header_image.get(field)
        for kind, field in _FIELDS.items()
        if header_image.get_typeof(field)
    }
    return Metadata(**blocks)


def select(metadata: Metadata, wanted: str, *, keeps_profile: bool) -> Metadata:
    """What of it is wanted: `copyright` or `all`. Without its colours a profile is useless."""
    if wanted == "copyright":
        exif, xmp, iptc, incomplete = keep_rights(metadata.exif, metadata.xmp, metadata.iptc)
        return Metadata(exif, xmp, iptc, None, incomplete)
    return metadata if keeps_profile else replace(metadata, icc=None)


def dress(image: pyvips.Image, metadata: Metadata, format_: str) -> Dressed:
    """`image` with this metadata and no other, as far as the format holds it.

    Whole blocks and no single EXIF fields: libvips would write those anew, in ASCII. It adds
    the size and an upright orientation to EXIF, and takes the preview of the source away.
    """
    facts = FORMATS[format_]
    image = image.copy()
    for field in image.get_fields():
        if field not in _GEOMETRY_FIELDS | _ANIMATION_FIELDS:
            image.remove(field)
    dropped = metadata.incomplete
    for kind, field in _FIELDS.items():
        block = getattr(metadata, kind)
        if block is None:
            continue
        if kind in facts.blocks and len(block) <= facts.max_block_bytes:
            image.set_type(pyvips.GValue.blob_type, field, block)
        else:
            dropped = True
    return Dressed(image, dropped)
