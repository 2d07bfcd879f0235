"""What was done otherwise than asked: one warning a code, naming the variants it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from imgsvc.domain.rendering import ImageWarning
from imgsvc.errors import WarningCode
from imgsvc.imaging.plan import VariantPlan
from imgsvc.imaging.probe import Header

_ASSUMED = ImageWarning(
    WarningCode.PROFILE_ASSUMED,
    "The image has no usable colour profile; a usual one was assumed.",
)


def collect_warnings(
    header: Header,
    plans: tuple[VariantPlan, ...],
    met: Mapping[str, Set[WarningCode]],
    *,
    profile_assumed: bool,
) -> tuple[ImageWarning, ...]:
    """met: what making each variant met with, by its name."""

    def was_met(code: WarningCode) -> Callable[[VariantPlan], bool]:
        return lambda plan: code in met.get(plan.variant.name, ())

    tests: tuple[tuple[WarningCode, str, Callable[[VariantPlan], bool]], ...] = (
        (
            WarningCode.NOT_ENLARGED,
            "Not enlarged beyond the source",
            lambda plan: plan.sizes.limited,
        ),
        (WarningCode.QUALITY_IGNORED, "The quality had no effect", _ignores_quality),
        (WarningCode.QUALITY_IGNORED, "The format cannot be lossless", _ignores_lossless),
        (
            WarningCode.ANIMATION_DROPPED,
            "Only the first frame was kept",
            lambda plan: header.told_frames > plan.frames and plan.variant.animation != "first",
        ),
        (
            WarningCode.MAX_BYTES_MISSED,
            "The file is larger than max_bytes all the same",
            was_met(WarningCode.MAX_BYTES_MISSED),
        ),
        (
            WarningCode.METADATA_DROPPED,
            "The format cannot hold all of the metadata",
            was_met(WarningCode.METADATA_DROPPED),
        ),
    )
    found = [_ASSUMED] if profile_assumed else []
    for code, message, applies in tests:
        names = tuple(plan.variant.name for plan in plans if applies(plan))
        if names:
            found.append(ImageWarning(code, message, names))
    return tuple(found)


def _ignores_quality(plan: VariantPlan) -> bool:
    return plan.variant.quality is not None and plan.quality is None


def _ignores_lossless(plan: VariantPlan) -> bool:
    return plan.variant.lossless and plan.format in ("jpeg", "gif")
