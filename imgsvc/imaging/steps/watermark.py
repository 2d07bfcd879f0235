"""Lay a mark over the picture."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.marks import draw, measure
from imgsvc.imaging.plan import VariantPlan
from imgsvc.recipes.sizes import Size
from imgsvc.recipes.watermarks import find_spot


def watermark(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """The picture with the variant's mark; only what lies under the mark is worked on.

    A grey picture stays grey under a grey mark, and an opaque one opaque.
    """
    wanted = plan.variant.watermark
    if wanted is None or wanted.opacity == 0:
        return image
    natural = measure(wanted)
    if natural is None:
        return image
    size, at = find_spot(Size(image.width, image.height), natural, wanted)
    mark = _fade(draw(wanted, size), wanted.opacity)
    image, mark = _in_one_space(image, mark)
    blended = image.crop(at.left, at.top, *size).composite2(
        mark, "over", compositing_space=image.interpretation
    )
    blended = blended.extract_band(0, n=image.bands).rint().cast(image.format)
    return image.insert(blended, at.left, at.top)


def _fade(mark: pyvips.Image, opacity: float) -> pyvips.Image:
    if opacity == 1:
        return mark
    last = mark.bands - 1
    alpha = (mark.extract_band(last) * opacity).rint().cast(mark.format)
    return mark.extract_band(0, n=last).bandjoin(alpha)


def _in_one_space(image: pyvips.Image, mark: pyvips.Image) -> tuple[pyvips.Image, pyvips.Image]:
    """Both in colour as soon as one is."""
    if image.interpretation == mark.interpretation:
        return image, mark
    if image.interpretation == "b-w":
        return image.colourspace("srgb"), mark
    return image, mark.colourspace("srgb")
