"""From the shared base to the pixels of one variant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyvips

from imgsvc.imaging.decoding import Frames
from imgsvc.imaging.plan import VariantPlan
from imgsvc.imaging.steps.blur import blur
from imgsvc.imaging.steps.fill import fill, find_place
from imgsvc.imaging.steps.flatten import flatten
from imgsvc.imaging.steps.grayscale import grayscale
from imgsvc.imaging.steps.mirror import mirror
from imgsvc.imaging.steps.pad import pad
from imgsvc.imaging.steps.resize import resize, resize_by_light
from imgsvc.imaging.steps.rotate import rotate
from imgsvc.imaging.steps.sharpen import sharpen
from imgsvc.imaging.steps.watermark import watermark

Step = Callable[[pyvips.Image, VariantPlan], pyvips.Image]

# Decode, orientation, crop, trim and sRGB are done, once for several variants, in `decoding`;
# the resize is done below. It comes first, so that every later step touches the fewest pixels.
STEPS: tuple[Step, ...] = (
    fill,  # what is cut away need not be worked on
    rotate,  # after the crop: gravity speaks of the picture as it came
    mirror,
    grayscale,  # before the background comes in, which keeps its colour
    blur,
    sharpen,  # after the blur, or it would sharpen what is then lost
    pad,  # the background is neither grey nor blurred
    flatten,  # what lies under the picture shows only where all else has left it
    watermark,  # last: what is done to the picture is not done to the mark
)


def make_variant(base: Frames, plan: VariantPlan) -> Frames:
    """What is decided by looking is decided on the first frame, or the others would jump.

    Of several frames each is made before the next: as a pipeline that waits it holds more than
    a megabyte of buffers.
    """
    resized = [_resize(frame, plan) for frame in base[: plan.frames]]
    plan = replace(plan, place=find_place(resized[0], plan))
    made = (_take_steps(frame, plan) for frame in resized)
    return tuple(made) if plan.frames == 1 else tuple(frame.copy_memory() for frame in made)


def _resize(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """All frames of an animation in the same light, or it would flicker."""
    shrink = resize if plan.frames > 1 else resize_by_light
    return shrink(image, plan.sizes.picture)


def _take_steps(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    for step in STEPS:
        image = step(image, plan)
    return image
