"""Take detail away."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan


def blur(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """A Gaussian of the variant's sigma, in pixels of the result.

    Premultiplied meanwhile, so that the colour of transparent pixels does not bleed in; in
    the image's own format, because floating point would take ten times as long.
    """
    sigma = plan.variant.blur
    if sigma is None:
        return image
    if not image.hasalpha():
        return image.gaussblur(sigma)
    premultiplied = image.premultiply().cast(image.format)
    return premultiplied.gaussblur(sigma).unpremultiply().cast(image.format)
