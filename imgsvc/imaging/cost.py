"""How much memory a render will take: predicted from the header, before any pixel.

The factors are measured (peak resident size of whole renders of a 13.5-megapixel picture in
each format, libvips 8.18) and rounded up: too much charged only waits, too little dies.
"""

from __future__ import annotations

from imgsvc.imaging.decoding import load_options
from imgsvc.imaging.plan import BasePlan, RenderPlan, VariantPlan
from imgsvc.imaging.probe import Header
from imgsvc.recipes.sizes import Size

_FIXED_BYTES = 16 << 20
"""Tables, buffers, the whole of a small source, the encoded file."""

_METADATA_FACTOR = 8
"""Of profile, EXIF and the like, read, parsed, handed on and written."""

_LINES_IN_FLIGHT = 700
_ALPHA_LINES_IN_FLIGHT = 850
_QUARTERED_ALPHA_LINES_IN_FLIGHT = 1300
"""Lines of the source that a sequential decode and the resize above it keep. With alpha they go
through more steps, and one more where libvips shrinks by a whole number first."""

_WHOLE_NUMBER_FROM = 4
"""How much smaller the picture gets when libvips begins to do so."""

_LEAST_LINES = 16
"""Of very wide pictures: libvips' own buffers."""

_WIDE_SAMPLE_BYTES = 4
"""Resizing works in wider samples when there is alpha, or more than 8 bits."""

_COEFFICIENT_BYTES = 2
_CODEC_FACTORS = {"png": 2, "webp": 2, "gif": 2, "tiff": 2, "avif": 6, "jp2": 7, "jxl": 5, "psd": 4}
_CANVAS_BYTES = 6
"""For a pixel of a WebP that is shrunk while it is decoded, if it has frames or an alpha, or is
lossless."""

_OTHER_FACTOR = 3
"""Planes and pixels that a decoder and a reader hold, in sizes of the decoded picture."""

_ENCODE_BYTES_PER_PIXEL = {
    "webp": 9, "jpeg": 7, "png": 4, "avif": 24, "gif": 24, "tiff": 8,
}  # fmt: skip
_ENCODE_BYTES_PER_ALPHA_PIXEL = {
    "webp": 34, "jpeg": 7, "png": 5, "avif": 33, "gif": 26, "tiff": 10,
}  # fmt: skip
_FINE_ENCODE_BYTES_PER_PIXEL = {
    "webp": 40, "jpeg": 12, "png": 8, "avif": 52, "gif": 26, "tiff": 10,
}  # fmt: skip
"""Lossless, progressive, or almost so good."""

_FINE_QUALITY = 95
_TRIED_BYTES_PER_PIXEL = 8
"""The picture in memory, from which several files are made, of which two are kept."""

_BLURRED_BYTES_PER_PIXEL = 8

_MOVING_BYTES_PER_PIXEL = 12
"""Of every frame: as it is made, in the strip, and the encoder's own copy."""

_MARK_BYTES_PER_PIXEL = 9
_MARK_FILE_BYTES = 40 << 20
"""Of the largest that is kept, 2048 pixels square."""


def predict_cost(header: Header, plan: RenderPlan) -> int:
    """Bytes at the worst moment of the whole render, on the generous side."""
    at_work = max(_base_bytes(header, base) for base in plan.bases)
    if any(variant.variant.trim is not None for variant in plan.variants):
        at_work = max(at_work, _lines_bytes(header, 1) + _full_bytes(header, header.frames))
    kept = _METADATA_FACTOR * header.metadata_bytes + header.mapped_bytes
    return _FIXED_BYTES + kept + at_work


def _base_bytes(header: Header, base: BasePlan) -> int:
    """One decode, with what is made of it; they follow one another."""
    copies = 1 if header.orientation == 1 else 2
    pixels = copies * _area(base.size) * header.bands * base.frames
    making = max(_making_bytes(header, variant) for variant in base.variants)
    return _decode_bytes(header, base) + pixels + making


def _making_bytes(header: Header, plan: VariantPlan) -> int:
    may_have_alpha = header.has_alpha or plan.variant.mode == "pad"
    pixel_bytes = _encode_bytes_per_pixel(plan, may_have_alpha=may_have_alpha)
    if plan.variant.blur is not None:
        pixel_bytes += _BLURRED_BYTES_PER_PIXEL
    if plan.frames > 1:
        pixel_bytes += plan.frames * _MOVING_BYTES_PER_PIXEL
    return _area(plan.sizes.canvas) * pixel_bytes + _mark_bytes(plan)


def _encode_bytes_per_pixel(plan: VariantPlan, *, may_have_alpha: bool) -> int:
    variant = plan.variant
    factors = _ENCODE_BYTES_PER_ALPHA_PIXEL if may_have_alpha else _ENCODE_BYTES_PER_PIXEL
    tried = 0 if variant.max_bytes is None else _TRIED_BYTES_PER_PIXEL
    is_fine = variant.lossless or variant.progressive or (plan.quality or 0) >= _FINE_QUALITY
    if is_fine or (tried and plan.format == "avif"):
        return tried + max(factors[plan.format], _FINE_ENCODE_BYTES_PER_PIXEL[plan.format])
    return tried + factors[plan.format]


def _mark_bytes(plan: VariantPlan) -> int:
    """The picture as it was kept, and the mark as it is drawn."""
    mark = plan.variant.watermark
    if mark is None:
        return 0
    drawn = round(_area(plan.sizes.canvas) * mark.scale) * _MARK_BYTES_PER_PIXEL
    return drawn + (0 if mark.preset_image is None else _MARK_FILE_BYTES)


def _decode_bytes(header: Header, base: BasePlan) -> int:
    if (scale := load_options(header, base).get("scale")) is not None:
        lines = round(_lines_bytes(header, 1) * scale)  # of what the loader gives
        shown = 4 * _area(base.size) * _pixel_bytes(header)
        planes = _area(header.stored) * (
            _CANVAS_BYTES if header.has_alpha or header.lossless else 2
        )
        return lines + shown + planes
    shrink = max(base.box.width / base.size.width, base.box.height / base.size.height)
    return _lines_bytes(header, shrink) + _full_bytes(header, base.frames)


def _lines_bytes(header: Header, shrink: float) -> int:
    """shrink: how many times smaller the picture gets after its loader, 1 for hardly."""
    is_wide = header.has_alpha or header.sample_bytes > 1
    sample_bytes = _WIDE_SAMPLE_BYTES if is_wide else 1
    lines = max(_LEAST_LINES, min(header.stored.height, _lines_in_flight(header, shrink)))
    return header.stored.width * lines * header.bands * sample_bytes


def _lines_in_flight(header: Header, shrink: float) -> int:
    if not header.has_alpha:
        return _LINES_IN_FLIGHT
    if shrink < _WHOLE_NUMBER_FROM:
        return _ALPHA_LINES_IN_FLIGHT
    return _QUARTERED_ALPHA_LINES_IN_FLIGHT


def _full_bytes(header: Header, frames: int) -> int:
    """What the decoder itself holds of a picture that it does not shrink."""
    if not header.whole:
        return 0
    width, height = header.stored
    area = width * min(height, header.block_lines or height)
    if header.format == "jpeg":  # its coefficients are never shrunk
        return area * header.bands * _COEFFICIENT_BYTES
    one = area * _pixel_bytes(header) * _CODEC_FACTORS.get(header.format, _OTHER_FACTOR)
    if header.format == "webp" and frames > 1:  # shown one by one, but kept together
        return one + frames * area * _pixel_bytes(header)
    return one


def _pixel_bytes(header: Header) -> int:
    return max(header.bands * header.sample_bytes, 4)


def _area(size: Size) -> int:
    return size.width * size.height
