"""Take detail away."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan

_LEAST_WEIGHT = 0.05
"""Where the mask ends. libvips' own 0.2 leaves a sigma of 0.5 without any neighbour."""


def blur(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """A Gaussian of the variant's sigma, in pixels of the result, and in memory.

    Premultiplied meanwhile, so that the colour of transparent pixels does not bleed in; in
    the image's own format, because floating point would take ten times as long.
    """
    sigma = plan.variant.blur
    if sigma is None:
        return image
    if not image.hasalpha():
        return _blur(image, sigma)
    premultiplied = image.premultiply().cast(image.format)
    return _blur(premultiplied, sigma).unpremultiply().cast(image.format).copy_memory()


def _blur(image: pyvips.Image, sigma: float) -> pyvips.Image:
    """As `gaussblur`, but every pixel is made once: it looks up to 360 pixels around, and would
    have whatever comes before it made anew for every tile. So would a step that looks around
    after it.
    """
    mask = pyvips.Image.gaussmat(sigma, _LEAST_WEIGHT, separable=True, precision="integer")
    across = image.copy_memory().conv(mask, precision="integer").copy_memory()
    return across.conv(mask.rot90(), precision="integer").copy_memory()
