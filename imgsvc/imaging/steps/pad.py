"""Lay the picture on a canvas of the size that was asked for."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan
from imgsvc.recipes.colours import on_white, parse_colour
from imgsvc.recipes.formats import FORMATS
from imgsvc.recipes.placement import place
from imgsvc.recipes.sizes import Size

_OPAQUE = 255


def pad(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """The canvas is the variant's background, transparent too where the format can be."""
    canvas = plan.sizes.canvas
    if plan.variant.mode != "pad" or (image.width, image.height) == canvas:
        return image
    background = parse_colour(plan.variant.background)
    if not FORMATS[plan.format].keeps_alpha:
        background = on_white(background)
    red, green, blue, alpha = background
    if image.interpretation == "b-w" and not red == green == blue:
        image = image.colourspace("srgb")
    if alpha < _OPAQUE and not image.hasalpha():
        image = image.addalpha()
    colour = [red] if image.interpretation == "b-w" else [red, green, blue]
    if image.hasalpha():
        colour.append(alpha)
    at = place(canvas, Size(image.width, image.height), plan.variant.gravity)
    return image.embed(
        at.left, at.top, canvas.width, canvas.height, extend="background", background=colour
    )
