"""How long a worker will take for an image, predicted from what its header says.

Good enough to weigh images against each other: a machine's real pace is learned from what
it finishes. The figures were measured with libvips 8.18 on one core, and rounded: per
megapixel, and for JPEG, which is decoded at a fraction of its size, mostly per megabyte.
"""

from __future__ import annotations

from imgsvc.domain.picture import Picture
from imgsvc.recipes.model import Crop, Variant, load_recipe
from imgsvc.recipes.sizes import Size, plan_variant_size

_FIXED_MS = 2.0
_VARIANT_MS = 3.0

_DECODE_MS = {
    "png": 12.0, "webp": 6.0, "gif": 9.0, "tiff": 5.0, "avif": 32.0,
    "bmp": 9.0, "ppm": 7.0, "psd": 20.0, "pcx": 19.0, "dds": 20.0, "ico": 26.0, "icns": 26.0,
    "qoi": 2000.0,
}  # fmt: skip
_JPEG_MS = (0.8, 13.0)
_PROGRESSIVE_JPEG_MS = (5.0, 35.0)
"""Per megapixel, per megabyte."""

_UNUSUAL_DECODE_MS = 65.0
"""HEVC, JPEG XL, JPEG 2000."""

_ENCODE_MS = {
    "webp": 105.0, "jpeg": 25.0, "png": 85.0, "tiff": 20.0, "gif": 150.0, "avif": 250.0,
}  # fmt: skip
_UNWRITTEN_ENCODE_MS = 25.0
"""`same` as a format that is only read makes a JPEG."""

_BYTES_PER_PIXEL = {
    "jpeg": 0.25, "png": 1.2, "webp": 0.15, "gif": 0.4, "tiff": 3.0, "ppm": 3.0, "icns": 0.3,
    "ico": 1.0,
}  # fmt: skip
_UNUSUAL_BYTES_PER_PIXEL = 0.1
"""What a picture's size is guessed by when its header could not be read."""

MOST_MS = 600_000
"""A header may promise anything; who promises more than this is refused by a worker."""

_MEGA = 1_000_000


def predict_cost_ms(recipe: str, picture: Picture | None, size_bytes: int) -> int:
    """Milliseconds that one worker will take; a whole number, from 1 to MOST_MS.

    recipe: canonical JSON. picture: None for a file of no known format, which fails early.
    """
    if picture is None:
        return round(_FIXED_MS)
    if picture.width and picture.height:
        size = Size(picture.width, picture.height)
    else:
        size = _guess_size(picture.format, size_bytes)
    decode_ms = _decode_ms(picture, size, size_bytes)
    variants = load_recipe(recipe).variants
    cost_ms = _FIXED_MS + decode_ms + sum(_encode_ms(v, picture, size) for v in variants)
    return min(round(cost_ms), MOST_MS)


def _guess_size(format_: str, size_bytes: int) -> Size:
    side = round((size_bytes / _BYTES_PER_PIXEL.get(format_, _UNUSUAL_BYTES_PER_PIXEL)) ** 0.5)
    return Size(max(1, side), max(1, side))


def _decode_ms(picture: Picture, size: Size, size_bytes: int) -> float:
    megapixels = size.width * size.height / _MEGA
    if picture.format == "jpeg":
        pixel_ms, byte_ms = _PROGRESSIVE_JPEG_MS if picture.progressive else _JPEG_MS
        return pixel_ms * megapixels + byte_ms * size_bytes / _MEGA
    return _DECODE_MS.get(picture.format, _UNUSUAL_DECODE_MS) * megapixels


def _encode_ms(variant: Variant, picture: Picture, source: Size) -> float:
    plan = plan_variant_size(_cropped(source, variant.crop), variant)
    format_ = picture.format if variant.format == "same" else variant.format
    pixels = plan.canvas.width * plan.canvas.height
    return _VARIANT_MS + _ENCODE_MS.get(format_, _UNWRITTEN_ENCODE_MS) * pixels / _MEGA


def _cropped(source: Size, crop: Crop | None) -> Size:
    if crop is None:
        return source
    return Size(min(source.width, crop.width), min(source.height, crop.height))
