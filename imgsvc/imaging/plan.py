"""A recipe compiled for one source: what is decoded, what is made of it, at which sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imgsvc.errors import ImageError, ImageErrorCode
from imgsvc.imaging.metadata import holds
from imgsvc.imaging.probe import Header
from imgsvc.recipes.formats import FORMATS, resolve_format
from imgsvc.recipes.model import MAX_SIDE, Crop, Recipe, Variant
from imgsvc.recipes.placement import Box, Place
from imgsvc.recipes.sizes import Size, SizePlan, plan_variant_size

Cut = tuple[Crop | None, int | None]
"""What a variant cuts away of the source before all else: its crop, its trim's threshold."""

_USUAL_THRESHOLD = 10
"""libvips' own for trimming: what JPEG makes of a uniform border stays below it."""


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """How one variant is made from its base.

    format: what `same` came to. quality: None where the format has none, or none in use.
    frames: how many the output shows.
    place: of the part that `fill` keeps; None when it keeps all, or was not looked for yet.
    """

    variant: Variant
    format: str
    quality: int | None
    sizes: SizePlan
    frames: int
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class BasePlan:
    """One decode, and the variants that are made from it.

    box: the part of the source that it shows, upright. size: what that is shrunk to.
    frames: how many are decoded. keeps_profile: colours stay as the source's profile means
    them; otherwise they become sRGB.
    """

    box: Box
    size: Size
    frames: int
    keeps_profile: bool
    variants: tuple[VariantPlan, ...]


@dataclass(frozen=True, slots=True)
class RenderPlan:
    bases: tuple[BasePlan, ...]

    @property
    def variants(self) -> tuple[VariantPlan, ...]:
        return tuple(plan for base in self.bases for plan in base.variants)


def cut_of(variant: Variant) -> Cut:
    threshold = _USUAL_THRESHOLD if variant.trim is True else variant.trim
    return variant.crop, threshold


def make_plan(recipe: Recipe, header: Header, found: Mapping[Cut, Box]) -> RenderPlan:
    """Variants that show the same part in the same colours share a decode.

    found: what trimming leaves; a cut that is not in it is taken as if nothing were trimmed.
    Raises ImageError with output_too_large for a crop that is not within the picture.
    """
    shared: dict[tuple[Box, bool], list[VariantPlan]] = {}
    for variant in recipe.variants:
        cut = cut_of(variant)
        box = found.get(cut) or crop_box(variant, header.upright)
        plan = _plan_variant(variant, header, box.size)
        shared.setdefault((box, _keeps_profile(plan, header)), []).append(plan)
    return RenderPlan(
        tuple(
            BasePlan(
                box, _base_size(box.size, plans), max(p.frames for p in plans), keeps, tuple(plans)
            )
            for (box, keeps), plans in shared.items()
        )
    )


def crop_box(variant: Variant, source: Size) -> Box:
    """Raises ImageError with output_too_large."""
    crop = variant.crop
    if crop is None:
        return Box(0, 0, *source)
    if crop.left + crop.width > source.width or crop.top + crop.height > source.height:
        raise ImageError(
            ImageErrorCode.OUTPUT_TOO_LARGE,
            f"Variant {variant.name} crops {crop.width}x{crop.height} pixels at"
            f" {crop.left},{crop.top}: the picture has {source.width}x{source.height}.",
        )
    return Box(crop.left, crop.top, crop.width, crop.height)


def check_outputs(plan: RenderPlan) -> None:
    """Raise ImageError with output_too_large."""
    for base in plan.bases:
        for variant in base.variants:
            _check_output(variant, base.box.size)


def _plan_variant(variant: Variant, header: Header, source: Size) -> VariantPlan:
    format_ = resolve_format(variant.format, header.format, has_alpha=header.has_alpha)
    facts = FORMATS[format_]
    shows_all = facts.moves and variant.animation != "first"
    is_lossless = variant.lossless and facts.lossless
    return VariantPlan(
        variant,
        format_,
        None
        if is_lossless or facts.usual_quality is None
        else variant.quality or facts.usual_quality,
        plan_variant_size(source, variant),
        header.frames if shows_all else 1,
    )


def _keeps_profile(plan: VariantPlan, header: Header) -> bool:
    """Where the file can hold it, or its colours would be meant otherwise. Taking the colour
    away is done in sRGB.
    """
    return (
        plan.variant.metadata == "all"
        and header.has_rgb_profile
        and not plan.variant.grayscale
        and holds(plan.format, "icc", header.image.get("icc-profile-data"))
    )


def _base_size(source: Size, variants: list[VariantPlan]) -> Size:
    """The largest any variant needs, side by side, and never beyond the source.

    Variants of the source's ratio meet in the largest of them. One with a ratio of its own
    only widens the side it needs, so no variant is ever made by enlarging a shrunk base.
    """
    return Size(
        min(source.width, max(plan.sizes.picture.width for plan in variants)),
        min(source.height, max(plan.sizes.picture.height for plan in variants)),
    )


def _check_output(plan: VariantPlan, source: Size) -> None:
    """The format's limit, and ours: nothing grows past what a recipe may ask for.

    A side that follows the ratio otherwise could.
    """
    limit = FORMATS[plan.format].max_side
    output = plan.sizes.canvas
    grown = max(output) > max(*source, MAX_SIDE)
    if grown or max(output) > limit:
        raise ImageError(
            ImageErrorCode.OUTPUT_TOO_LARGE,
            f"Variant {plan.variant.name} would be {output.width}x{output.height} pixels,"
            f" {min(limit, MAX_SIDE) if grown else limit} a side is the most for {plan.format}.",
        )
