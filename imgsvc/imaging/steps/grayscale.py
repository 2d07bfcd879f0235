"""Take the colour away."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan


def grayscale(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """One band of luminance (and alpha, if there is any)."""
    if not plan.variant.grayscale or image.interpretation == "b-w":
        return image
    return image.colourspace("b-w")
