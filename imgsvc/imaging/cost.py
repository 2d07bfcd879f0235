"""How much memory a render will take: predicted from the header, before any pixel.

The factors are measured (peak resident size of whole renders of a 13.5-megapixel picture in
each format, libvips 8.18) and rounded up: too much charged only waits, too little dies.
"""

from __future__ import annotations

from imgsvc.imaging.decoding import load_options
from imgsvc.imaging.plan import RenderPlan, VariantPlan
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


def predict_cost(header: Header, plan: RenderPlan) -> int:
    """Bytes at the worst moment of the whole render, on the generous side."""
    base_copies = 1 if header.orientation == 1 else 2
    base = base_copies * _area(plan.base) * header.bands
    making = max(_making_bytes(header, variant) for variant in plan.variants)
    return _FIXED_BYTES + _decode_bytes(header, plan.base) + base + making


def _making_bytes(header: Header, variant: VariantPlan) -> int:
    may_have_alpha = header.has_alpha or variant.variant.mode == "pad"
    factors = _ENCODE_BYTES_PER_ALPHA_PIXEL if may_have_alpha else _ENCODE_BYTES_PER_PIXEL
    return _area(variant.sizes.canvas) * factors[variant.format]


def _decode_bytes(header: Header, base: Size) -> int:
    stored = header.stored
    is_wide = header.has_alpha or header.sample_bytes > 1
    sample_bytes = _WIDE_SAMPLE_BYTES if is_wide else 1
    lines = stored.width * min(stored.height, _LINES_IN_FLIGHT) * header.bands * sample_bytes
    if not header.whole:
        return lines
    if header.format == "jpeg":  # its coefficients are never shrunk
        return lines + _area(stored) * header.bands * _COEFFICIENT_BYTES
    pixel_bytes = max(header.bands * header.sample_bytes, 4)
    if "scale" in load_options(header, base):
        return lines + 4 * _area(base) * pixel_bytes + 2 * _area(stored)
    return lines + _area(stored) * pixel_bytes * _CODEC_FACTORS.get(header.format, _OTHER_FACTOR)


def _area(size: Size) -> int:
    return size.width * size.height
