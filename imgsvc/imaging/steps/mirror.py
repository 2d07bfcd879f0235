"""Turn the picture over."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan


def mirror(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """`flip` exchanges top and bottom, `flop` left and right."""
    if plan.variant.flip:
        image = image.flipver()
    return image.fliphor() if plan.variant.flop else image
