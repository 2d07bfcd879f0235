"""Marks to be laid over pictures, drawn at the size that they are needed in.

A worker makes many pictures of one recipe, so what it has decoded and drawn is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyvips

from imgsvc.domain.rendering import WatermarkFile
from imgsvc.imaging import lettering
from imgsvc.imaging.kept import KeptImages
from imgsvc.imaging.loaders import open_file
from imgsvc.imaging.steps.resize import resize
from imgsvc.recipes.model import Watermark
from imgsvc.recipes.sizes import Size

KEPT_BYTES = 32 << 20
"""For decoded files, and again for drawn marks."""

_COLOUR_BANDS = 3

_files: dict[str, str] = {}
_decoded = KeptImages(KEPT_BYTES)
_drawn = KeptImages(KEPT_BYTES)


def name_files(files: Sequence[WatermarkFile]) -> None:
    """Say where the task's watermarks stand; those of earlier tasks are gone from their places."""
    _files.clear()
    _files.update((file.sha256, file.path) for file in files)


def measure(watermark: Watermark) -> Size | None:
    """The mark's own size, of which only the ratio counts; None where nothing can be seen."""
    if watermark.text is not None:
        return lettering.measure(watermark.text)
    image = _decode(watermark)
    return Size(image.width, image.height)


def draw(watermark: Watermark, size: Size) -> pyvips.Image:
    """The mark at exactly `size`, in memory: 8-bit sRGB or grey, with alpha."""
    if watermark.text is not None:
        text = watermark.text
        return _drawn.get((text, size), lambda: lettering.draw(text, size))
    image = _decode(watermark)
    return _drawn.get((watermark.sha256, size), lambda: resize(image, size))


def _decode(watermark: Watermark) -> pyvips.Image:
    """Raises LookupError for a file that the task does not bring."""
    sha256 = watermark.sha256
    if sha256 is None:
        raise LookupError("a watermark that is known by name alone")
    return _decoded.get(sha256, lambda: _read(_files[sha256]))


def _read(path: str) -> pyvips.Image:
    """Files are ones that we made: PNG, 8-bit sRGB or grey."""
    image = open_file(path, "png")
    if not image.hasalpha():
        image = image.addalpha()
    if image.bands <= _COLOUR_BANDS:
        return image
    image = image.copy_memory()
    red, green, blue, alpha = image.bandsplit()
    if max((red - green).abs().max(), (red - blue).abs().max()) > 0:
        return image
    return red.bandjoin(alpha).copy(interpretation="b-w")
