"""Lay the picture on its background where the format has no alpha."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan
from imgsvc.recipes.colours import on_white, parse_colour
from imgsvc.recipes.formats import FORMATS


def flatten(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """Opaque, on the variant's background, which lies on white where it is transparent."""
    if not image.hasalpha() or FORMATS[plan.format].keeps_alpha:
        return image
    red, green, blue, _ = on_white(parse_colour(plan.variant.background))
    if image.interpretation != "b-w":
        return image.flatten(background=[red, green, blue])
    if red == green == blue:
        return image.flatten(background=[red])
    return image.colourspace("srgb").flatten(background=[red, green, blue])
