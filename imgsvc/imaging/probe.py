"""What a file's header says, and whether its limits let it in. No pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyvips

from imgsvc.domain.rendering import DecodeLimits, InputFacts
from imgsvc.domain.sniffing import HEAD_BYTES, sniff
from imgsvc.errors import ImageError, ImageErrorCode
from imgsvc.imaging.excess import check_before_opening, check_scans
from imgsvc.imaging.fields import get_field, list_fields
from imgsvc.imaging.gif_blocks import is_cut_off
from imgsvc.imaging.jpeg_segments import count_kept_bytes
from imgsvc.imaging.loaders import open_file
from imgsvc.imaging.readers.registry import FOREIGN_FORMATS
from imgsvc.imaging.steps.colour import has_own_profile, has_rgb_profile
from imgsvc.imaging.steps.orient import is_turned
from imgsvc.imaging.translation import corrupt_image, reading
from imgsvc.imaging.unread_frames import count_frames
from imgsvc.imaging.webp_chunks import is_lossless
from imgsvc.recipes.sizes import Size

_ANIMATED_FORMATS = frozenset({"gif", "webp"})
_WHOLE_FORMATS = frozenset({"webp", "gif", "tiff", "avif"}) | FOREIGN_FORMATS
_METADATA_FIELDS = frozenset({"icc-profile-data", "exif-data", "xmp-data", "iptc-data"})
_STRIP_LINES = 128
_TEXT_PREFIX = "png-comment-"
_FORMAT_BYTES = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4}


@dataclass(frozen=True, slots=True)
class Header:
    """An input before its pixels.

    image: open, and good for one pass over the pixels; only an outline of a foreign format.
    stored: size as it lies in the file, before `orientation` (EXIF, 1..8; 1 is upright).
    frames: how many can be read, 1 for a still. told_frames: how many there are.
    bands: alpha included. sample_bytes: of one band of one pixel.
    has_profile: of another colour space than sRGB.
    has_rgb_profile: of such a one that can be kept.
    whole: the decoder holds the whole picture at once: a progressive JPEG's coefficients,
    an interlaced PNG, or a format that knows no other way. lossless: of a WebP, whose pixels
    are then held as they are, also where it is shrunk. block_lines:
    that the decoder holds at once of a TIFF, which comes in strips or tiles; 0 means all of them.
    has_tiles: of a TIFF, that it comes in tiles.
    metadata_bytes: of profile, EXIF and the like.
    mapped_bytes: of a WebP, the file itself, which its decoder is given whole; otherwise 0.
    """

    image: pyvips.Image
    format: str
    stored: Size
    orientation: int
    frames: int
    bands: int
    sample_bytes: int
    has_alpha: bool
    has_profile: bool
    has_rgb_profile: bool
    whole: bool
    lossless: bool
    block_lines: int
    has_tiles: bool
    told_frames: int
    metadata_bytes: int
    mapped_bytes: int

    @property
    def upright(self) -> Size:
        width, height = self.stored
        return Size(height, width) if is_turned(self.orientation) else self.stored

    @property
    def facts(self) -> InputFacts:
        return InputFacts(self.format, self.upright.width, self.upright.height, self.told_frames)


def probe(path: str) -> Header:
    """Open the file at `path` and read its header.

    Raises ImageError with empty_image, unsupported_format or corrupt_image, or for what no
    decoder should be given (see `excess`); OSError when the file cannot be read at all.
    """
    with Path(path).open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise ImageError(ImageErrorCode.EMPTY_IMAGE, "The image has no bytes.")
    format_ = sniff(head)
    if format_ is None:
        raise ImageError(
            ImageErrorCode.UNSUPPORTED_FORMAT, "This is not an image in a format that is read here."
        )
    check_before_opening(path, format_)
    with reading():
        header = _header(open_file(path, format_), format_, path)
    if format_ == "jpeg" and header.whole:
        check_scans(path)
    if format_ == "gif" and is_cut_off(path):
        raise corrupt_image()
    return header


def check_limits(header: Header, limits: DecodeLimits) -> None:
    """Raise ImageError with too_many_frames or too_many_pixels (summed over the frames)."""
    if header.frames > limits.max_frames:
        raise ImageError(
            ImageErrorCode.TOO_MANY_FRAMES,
            f"The image has {header.frames} frames, {limits.max_frames} are allowed.",
        )
    pixels = header.stored.width * header.stored.height * header.frames
    if pixels > limits.max_pixels:
        raise ImageError(
            ImageErrorCode.TOO_MANY_PIXELS,
            f"The image has {pixels} pixels, {limits.max_pixels} are allowed.",
        )


def _header(image: pyvips.Image, format_: str, path: str) -> Header:
    fields = set(list_fields(image))
    orientation = image.get("orientation") if "orientation" in fields else 1
    animated = format_ in _ANIMATED_FORMATS and "n-pages" in fields
    frames = image.get("n-pages") if animated else 1
    return Header(
        image=image,
        format=format_,
        stored=Size(image.width, image.height),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        frames=frames,
        told_frames=max(frames, count_frames(path, format_)),
        bands=image.bands,
        sample_bytes=_FORMAT_BYTES.get(image.format, 8),
        has_alpha=bool(image.hasalpha()),
        has_profile=has_own_profile(image),
        has_rgb_profile=has_rgb_profile(image),
        lossless=format_ == "webp" and is_lossless(path),
        block_lines=_count_block_lines(image, fields) if format_ == "tiff" else 0,
        has_tiles=format_ == "tiff" and "tile-height" in fields,
        whole=format_ in _WHOLE_FORMATS or _comes_in_passes(image, fields),
        metadata_bytes=max(
            sum(len(get_field(image, name)) for name in fields if _is_metadata(name)),
            count_kept_bytes(path) if format_ == "jpeg" else 0,
        ),
        mapped_bytes=Path(path).stat().st_size if format_ == "webp" else 0,
    )


def _count_block_lines(image: pyvips.Image, fields: set[str]) -> int:
    """Strips that are higher come line by line."""
    return int(image.get("tile-height")) if "tile-height" in fields else _STRIP_LINES


def _is_metadata(field: str) -> bool:
    return field in _METADATA_FIELDS or field.startswith(_TEXT_PREFIX)


def _comes_in_passes(image: pyvips.Image, fields: set[str]) -> bool:
    return any(name in fields and image.get(name) for name in ("jpeg-multiscan", "interlaced"))
