"""What goes along with the pixels: EXIF, XMP, IPTC and the colour profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import pyvips

from imgsvc.imaging.rights import keep_rights
from imgsvc.imaging.stale import refresh_exif, refresh_iptc, refresh_xmp
from imgsvc.recipes.formats import FORMATS

_FIELDS = {
    "exif": "exif-data",
    "xmp": "xmp-data",
    "iptc": "iptc-data",
    "icc": "icc-profile-data",
}
_REFRESH: dict[str, Callable[[bytes], bytes]] = {
    "exif": refresh_exif,
    "xmp": refresh_xmp,
    "iptc": refresh_iptc,
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
    """As it holds for the picture turned upright, and cut."""
    blocks = {
        kind: _REFRESH.get(kind, bytes)(image.get(field))
        for kind, field in _FIELDS.items()
        if image.get_typeof(field)
    }
    return Metadata(blocks.get("exif"), blocks.get("xmp"), blocks.get("iptc"), blocks.get("icc"))


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
    held = {
        kind: block for kind, block in given.items() if FORMATS[format_].holds(kind, len(block))
    }
    for kind, block in held.items():
        image.set_type(pyvips.GValue.blob_type, _FIELDS[kind], block)
    enough = len(held) == len(given) or (metadata.repeated and bool(held))
    return Dressed(image, metadata.incomplete or not enough)
