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

_LINES_IN_FLIGHT = 700
"""Lines of the source that a sequential decode and the resize above it keep."""

_WIDE_SAMPLE_BYTES = 4
"""Resizing works in wider samples when there is alpha, or more than 8 bits."""

_COEFFICIENT_BYTES = 2
_CODEC_FACTORS = {"png": 2, "webp": 2, "gif": 2, "tiff": 2, "avif": 6, "jp2": 7, "jxl": 5, "psd": 4}
_OTHER_FACTOR = 3
"""Planes and pixels that a decoder and a reader hold, in sizes of the decoded picture."""

_ENCODE_BYTES_PER_PIXEL = {
    "webp": 7, "jpeg": 7, "png": 4, "avif": 12, "gif": 12, "tiff": 8,
}  # fmt: skip
_ENCODE_BYTES_PER_ALPHA_PIXEL = {
    "webp": 30, "jpeg": 7, "png": 5, "avif": 28, "gif": 12, "tiff": 10,
}  # fmt: skip

_MOVING_BYTES_PER_PIXEL = 12
"""Of every frame: as it is made, in the strip, and the encoder's own copy."""

_MARK_BYTES_PER_PIXEL = 9
_MARK_FILE_BYTES = 40 << 20
"""Of the largest that is kept, 2048 pixels square."""


def predict_cost(header: Header, plan: RenderPlan) -> int:
    """Bytes at the worst moment of the whole render, on the generous side."""
    looking = _decode_bytes(header, None) if _is_trimmed(plan) else 0
    return _FIXED_BYTES + max(looking, *(_base_bytes(header, base) for base in plan.bases))


def _is_trimmed(plan: RenderPlan) -> bool:
    """Whether the border has to be looked for first, in the picture as it is."""
    return any(one.variant.trim is not None for one in plan.variants)


def _base_bytes(header: Header, base: BasePlan) -> int:
    """One decode, with what is made of it; they follow one another."""
    copies = 1 if header.orientation == 1 else 2
    pixels = copies * _area(base.size) * header.bands * base.frames
    making = max(_making_bytes(header, variant) for variant in base.variants)
    return _decode_bytes(header, base) + pixels + making


def _making_bytes(header: Header, plan: VariantPlan) -> int:
    may_have_alpha = header.has_alpha or plan.variant.mode == "pad"
    factors = _ENCODE_BYTES_PER_ALPHA_PIXEL if may_have_alpha else _ENCODE_BYTES_PER_PIXEL
    one = _area(plan.sizes.canvas) * factors[plan.format] + _mark_bytes(plan)
    if plan.frames == 1:
        return one
    return one + _area(plan.sizes.canvas) * plan.frames * _MOVING_BYTES_PER_PIXEL


def _mark_bytes(plan: VariantPlan) -> int:
    """The picture as it was kept, and the mark as it is drawn."""
    mark = plan.variant.watermark
    if mark is None:
        return 0
    drawn = round(_area(plan.sizes.canvas) * mark.scale) * _MARK_BYTES_PER_PIXEL
    return drawn + (0 if mark.preset_image is None else _MARK_FILE_BYTES)


def _decode_bytes(header: Header, base: BasePlan | None) -> int:
    """base: None for a decode that the loader does not shrink."""
    stored = header.stored
    is_wide = header.has_alpha or header.sample_bytes > 1
    sample_bytes = _WIDE_SAMPLE_BYTES if is_wide else 1
    lines = stored.width * min(stored.height, _LINES_IN_FLIGHT) * header.bands * sample_bytes
    if not header.whole:
        return lines
    if header.format == "jpeg":  # its coefficients are never shrunk
        return lines + _area(stored) * header.bands * _COEFFICIENT_BYTES
    pixel_bytes = max(header.bands * header.sample_bytes, 4)
    if base is not None and "scale" in load_options(header, base):
        return lines + 4 * _area(base.size) * pixel_bytes + 2 * _area(stored)
    return lines + _area(stored) * pixel_bytes * _CODEC_FACTORS.get(header.format, _OTHER_FACTOR)


def _area(size: Size) -> int:
    return size.width * size.height
