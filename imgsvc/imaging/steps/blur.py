"""Take detail away."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan

_LEAST_WEIGHT = 0.05
"""Where the mask ends. libvips' own 0.2 leaves a sigma of 0.5 without any neighbour."""


def blur(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """A Gaussian of the variant's sigma, in pixels of the result.

    Premultiplied meanwhile, so that the colour of transparent pixels does not bleed in; in
    the image's own format, because floating point would take ten times as long.
    """
    sigma = plan.variant.blur
    if sigma is None:
        return image
    if not image.hasalpha():
        return image.gaussblur(sigma, min_ampl=_LEAST_WEIGHT)
    premultiplied = image.premultiply().cast(image.format)
    return premultiplied.gaussblur(sigma, min_ampl=_LEAST_WEIGHT).unpremultiply().cast(image.format)
