"""What goes along with the pixels: EXIF, XMP, IPTC and the colour profile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import pyvips

from imgsvc.imaging.exif import make_upright
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

    incomplete: something was there that cannot be kept. repeated: every block says the same,
    so one is enough.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    icc: bytes | None = None
    incomplete: bool = False
    repeated: bool = False


class Dressed(NamedTuple):
    """dropped: whether something of the metadata found no place in the format."""

    image: pyvips.Image
    dropped: bool


def read_metadata(image: pyvips.Image) -> Metadata:
    """As it holds for the picture turned upright."""
    blocks = {kind: image.get(field) for kind, field in _FIELDS.items() if image.get_typeof(field)}
    if "exif" in blocks:
        blocks["exif"] = make_upright(blocks["exif"])
    return Metadata(**blocks)


def select(metadata: Metadata, wanted: str, *, keeps_profile: bool) -> Metadata:
    """What of it is wanted: `copyright` or `all`. Without its colours a profile is useless."""
    if wanted == "copyright":
        exif, xmp, iptc, incomplete = keep_rights(metadata.exif, metadata.xmp, metadata.iptc)
        return Metadata(exif, xmp, iptc, None, incomplete, repeated=True)
    return metadata if keeps_profile else replace(metadata, icc=None)


def dress(image: pyvips.Image, metadata: Metadata, format_: str) -> Dressed:
    """`image` with this metadata and no other, as far as the format holds it.

    Whole blocks and no single EXIF fields: libvips would write those anew, in ASCII.
    """
    image = image.copy()
    for field in image.get_fields():
        if field not in _GEOMETRY_FIELDS | _ANIMATION_FIELDS:
            image.remove(field)
    given = {kind: block for kind in _FIELDS if (block := getattr(metadata, kind))}
    held = {kind: block for kind, block in given.items() if holds(format_, kind, block)}
    for kind, block in held.items():
        image.set_type(pyvips.GValue.blob_type, _FIELDS[kind], block)
    enough = len(held) == len(given) or (metadata.repeated and bool(held))
    return Dressed(image, metadata.incomplete or not enough)


def holds(format_: str, kind: str, block: bytes) -> bool:
    """Whether a file of the format can have it; libpng looks into profiles, and is strict."""
    facts = FORMATS[format_]
    if kind not in facts.blocks:
        return False
    if kind != "icc":
        return len(block) <= facts.max_block_bytes
    return len(block) <= facts.max_profile_bytes and (format_ != "png" or _suits_png(block))


def _suits_png(profile: bytes) -> bool:
    dot = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    dot.set_type(pyvips.GValue.blob_type, _FIELDS["icc"], profile)
    try:
        dot.pngsave_buffer(keep="icc")
    except pyvips.Error:
        return False
    return True
