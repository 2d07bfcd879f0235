"""What goes along with the pixels: EXIF, XMP, IPTC and the colour profile."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pyvips

from imgsvc.imaging.fields import get_field, list_fields, remove_field
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
_PNG_TEXT = re.compile(r"png-comment-\d+-(.+)")
_KEYWORD = re.compile(r"(?!.{80}|.*  )[!-~]([ -~]*[!-~])?")
"""As they may be written (PNG, 11.3.3.1), and in ASCII: of others libvips would make UTF-8."""

_MAX_TEXTS = 1 << 16
"""Characters, all together."""

_ANIMATION_FIELDS = frozenset({"page-height", "delay", "loop", "n-pages"})
_GEOMETRY_FIELDS = frozenset(
    {"width", "height", "bands", "format", "coding", "interpretation", "filename"}
    | {"xoffset", "yoffset", "xres", "yres"}
)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Blocks as they stand in the file; None for what it does not have.

    texts: of a PNG, by keyword.
    incomplete: something was there that cannot be kept. repeated: every block says the same,
    so one is enough.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    icc: bytes | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    incomplete: bool = False
    repeated: bool = False


class Dressed(NamedTuple):
    """dropped: whether something of the metadata found no place in the format."""

    image: pyvips.Image
    dropped: bool


def read_metadata(image: pyvips.Image, exif: bytes | None = None) -> Metadata:
    """As it holds for the picture turned upright, and cut. exif: where it stands elsewhere."""
    blocks = {
        kind: _REFRESH.get(kind, bytes)(image.get(name))
        for kind, name in _FIELDS.items()
        if image.get_typeof(name)
    }
    if exif is not None:
        blocks["exif"] = refresh_exif(exif)
    found = {m[1]: f for f in list_fields(image) if (m := _PNG_TEXT.fullmatch(f))}
    texts = {word: get_field(image, f) for word, f in found.items() if _KEYWORD.fullmatch(word)}
    too_long = sum(map(len, texts.values())) > _MAX_TEXTS
    return Metadata(
        blocks.get("exif"),
        blocks.get("xmp"),
        blocks.get("iptc"),
        blocks.get("icc"),
        {} if too_long else texts,
        incomplete=too_long or len(texts) < len(found),
    )


def select(metadata: Metadata, wanted: str, format_: str) -> Metadata:
    """What of it is wanted: `copyright` or `all`. Rights that stand where the format has no
    place are written where it has one.
    """
    if wanted == "all" and not _has_homeless(metadata, format_):
        return metadata
    rights = keep_rights(metadata.exif, metadata.xmp, metadata.iptc, metadata.texts)
    if wanted == "copyright":
        return Metadata(
            rights.exif, rights.xmp, rights.iptc, incomplete=rights.incomplete, repeated=True
        )
    return replace(metadata, exif=metadata.exif or rights.exif, xmp=metadata.xmp or rights.xmp)


def _has_homeless(metadata: Metadata, format_: str) -> bool:
    return bool(metadata.iptc or metadata.texts) and "iptc" not in FORMATS[format_].blocks


def dress(image: pyvips.Image, metadata: Metadata, format_: str) -> Dressed:
    """`image` with this metadata and no other, as far as the format holds it.

    Whole blocks and no single EXIF fields: libvips would write those anew, in ASCII.
    """
    image = image.copy()
    for name in list_fields(image):
        if name not in _GEOMETRY_FIELDS | _ANIMATION_FIELDS:
            remove_field(image, name)
    given = {kind: block for kind in _FIELDS if (block := getattr(metadata, kind))}
    held = {kind: block for kind, block in given.items() if holds(format_, kind, block)}
    for kind, block in held.items():
        image.set_type(pyvips.GValue.blob_type, _FIELDS[kind], block)
    if format_ == "png":
        for number, (keyword, text) in enumerate(metadata.texts.items()):
            image.set_type(pyvips.GValue.gstr_type, f"png-comment-{number}-{keyword}", text)
    enough = len(held) == len(given) or (metadata.repeated and bool(held))
    texts_lost = bool(metadata.texts) and format_ != "png"
    return Dressed(image, metadata.incomplete or texts_lost or not enough)


def holds(format_: str, kind: str, block: bytes) -> bool:
    """Whether a file of the format can have it; libpng looks into profiles, and is strict."""
    if not FORMATS[format_].holds(kind, len(block)):
        return False
    return kind != "icc" or format_ != "png" or _suits_png(block)


def _suits_png(profile: bytes) -> bool:
    dot = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    dot.set_type(pyvips.GValue.blob_type, _FIELDS["icc"], profile)
    try:
        dot.pngsave_buffer(keep="icc")
    except pyvips.Error:
        return False
    return True
