"""From the shared base to the pixels of one variant."""

from __future__ import annotations

from collections.abc import Callable

import pyvips

from imgsvc.imaging.plan import VariantPlan
from imgsvc.imaging.steps.blur import blur
from imgsvc.imaging.steps.fill import fill
from imgsvc.imaging.steps.flatten import flatten
from imgsvc.imaging.steps.grayscale import grayscale
from imgsvc.imaging.steps.mirror import mirror
from imgsvc.imaging.steps.pad import pad
from imgsvc.imaging.steps.resize import resize_by_light
from imgsvc.imaging.steps.sharpen import sharpen
from imgsvc.imaging.steps.watermark import watermark

Step = Callable[[pyvips.Image, VariantPlan], pyvips.Image]


def _resize(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    return resize_by_light(image, plan.sizes.picture)


# Decode, orientation and sRGB are done, once for all variants, in `decoding`.
STEPS: tuple[Step, ...] = (
    _resize,  # first, so that every later step touches the fewest pixels
    fill,  # what is cut away need not be worked on
    mirror,  # after the crop: gravity speaks of the picture as it came
    grayscale,  # before the background comes in, which keeps its colour
    blur,
    sharpen,  # after the blur, or it would sharpen what is then lost
    pad,  # the background is neither grey nor blurred
    flatten,  # what lies under the picture shows only where all else has left it
    watermark,  # last: what is done to the picture is not done to the mark
)


def make_variant(base: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    for step in STEPS:
        base = step(base, plan)
    return base
