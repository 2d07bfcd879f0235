"""Turn the picture by quarters, clockwise."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan


def rotate(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    match plan.variant.rotate:
        case 90:
            return image.rot90()
        case 180:
            return image.rot180()
        case 270:
            return image.rot270()
        case _:
            return image
