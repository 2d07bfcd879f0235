"""What was done otherwise than asked: one warning a code, naming the variants it is about."""

from __future__ import annotations

from imgsvc.domain.rendering import ImageWarning
from imgsvc.errors import WarningCode
from imgsvc.imaging.encoders import ENCODERS
from imgsvc.imaging.plan import VariantPlan
from imgsvc.imaging.probe import Header


def collect_warnings(
    header: Header, variants: tuple[VariantPlan, ...], *, profile_assumed: bool
) -> tuple[ImageWarning, ...]:
    found = []
    if profile_assumed:
        found.append(
            ImageWarning(
                WarningCode.PROFILE_ASSUMED,
                "The image has no usable colour profile; a usual one was assumed.",
            )
        )
    about = {
        WarningCode.NOT_ENLARGED: (
            "Not enlarged beyond the source",
            [plan for plan in variants if plan.sizes.limited],
        ),
        WarningCode.QUALITY_IGNORED: (
            "The format has no quality setting",
            [plan for plan in variants if _ignores_quality(plan)],
        ),
        WarningCode.ANIMATION_DROPPED: (
            "Only the first frame was kept",
            [plan for plan in variants if _drops_frames(header, plan)],
        ),
    }
    found.extend(
        ImageWarning(code, text, tuple(plan.variant.name for plan in plans))
        for code, (text, plans) in about.items()
        if plans
    )
    return tuple(found)


def _ignores_quality(plan: VariantPlan) -> bool:
    return plan.variant.quality is not None and not ENCODERS[plan.format].has_quality


def _drops_frames(header: Header, plan: VariantPlan) -> bool:
    return header.frames > 1 and plan.variant.animation != "first"
