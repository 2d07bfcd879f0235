"""Cut away what stands over the box of `fill`."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan
from imgsvc.recipes.placement import place
from imgsvc.recipes.sizes import Size


def fill(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """The part of the picture that gravity says, or that libvips finds most worth seeing."""
    canvas, gravity = plan.sizes.canvas, plan.variant.gravity
    if plan.variant.mode != "fill" or (image.width, image.height) == canvas:
        return image
    if gravity in ("attention", "entropy"):
        return image.smartcrop(canvas.width, canvas.height, interesting=gravity)
    at = place(Size(image.width, image.height), canvas, gravity)
    return image.crop(at.left, at.top, canvas.width, canvas.height)
