"""Cut away what stands over the box of `fill`."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan
from imgsvc.recipes.placement import Place, place
from imgsvc.recipes.sizes import Size


def find_place(image: pyvips.Image, plan: VariantPlan) -> Place | None:
    """Where in the resized picture the part lies that is kept: as gravity says, or where
    libvips finds most to see. None when all of it is kept.
    """
    size, kept, gravity = Size(image.width, image.height), plan.sizes.kept, plan.variant.gravity
    if size == kept:
        return None
    if gravity in ("attention", "entropy"):
        seen = image.copy(xoffset=0, yoffset=0).smartcrop(
            kept.width, kept.height, interesting=gravity
        )
        return Place(-seen.xoffset, -seen.yoffset)
    return place(size, kept, gravity)


def fill(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """What `find_place` chose, in all frames the same."""
    if plan.place is None:
        return image
    return image.crop(*plan.place, *plan.sizes.kept)
