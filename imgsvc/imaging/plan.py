"""A recipe compiled for one source: what is decoded, what is made of it, at which sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from imgsvc.errors import ImageError, ImageErrorCode
from imgsvc.imaging.metadata import holds
from imgsvc.imaging.probe import Header
from imgsvc.recipes.formats import FORMATS, resolve_format
from imgsvc.recipes.model import MAX_SIDE, Crop, Recipe, Variant
from imgsvc.recipes.placement import Box, Place
from imgsvc.recipes.sizes import Size, SizePlan, plan_variant_size


class Cut(NamedTuple):
    """What a variant cuts away of the source before all else.

    trim: the threshold, None for no trim. frames: how many of them are looked at for it.
    """

    crop: Crop | None
    trim: int | None
    frames: int


_USUAL_THRESHOLD = 10
"""libvips' own for trimming: what JPEG makes of a uniform border stays below it."""


_ANALYSED_SIDE = 200
"""Pixels of a picture that is decoded for nothing but the analysis."""


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


def cut_of(variant: Variant, header: Header) -> Cut:
    threshold = _USUAL_THRESHOLD if variant.trim is True else variant.trim
    return Cut(variant.crop, threshold, _shown_frames(variant, _format_of(variant, header), header))


def make_plan(recipe: Recipe, header: Header, found: Mapping[Cut, Box]) -> RenderPlan:
    """Variants that show the same part in the same colours share a decode.

    found: what trimming leaves; a cut that is not in it is taken as if nothing were trimmed.
    Raises ImageError with output_too_large for a crop that is not within the picture.
    """
    shared: dict[tuple[Box, bool], list[VariantPlan]] = {}
    for variant in recipe.variants:
        cut = cut_of(variant, header)
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


def base_to_analyse(plan: RenderPlan, header: Header) -> BasePlan:
    """One that shows the whole picture in sRGB; of the plan, or else a small one for this."""
    whole = Box(0, 0, *header.upright)
    for base in plan.bases:
        if base.box == whole and not base.keeps_profile:
            return base
    side = Variant(name="analysis", width=_ANALYSED_SIDE, height=_ANALYSED_SIDE)
    size = plan_variant_size(header.upright, side).picture
    return BasePlan(whole, size, frames=1, keeps_profile=False, variants=())


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
    format_ = _format_of(variant, header)
    facts = FORMATS[format_]
    is_lossless = variant.lossless and facts.lossless
    return VariantPlan(
        variant,
        format_,
        None
        if is_lossless or facts.usual_quality is None
        else variant.quality or facts.usual_quality,
        plan_variant_size(source, variant),
        _shown_frames(variant, format_, header),
    )


def _format_of(variant: Variant, header: Header) -> str:
    return resolve_format(variant.format, header.format, has_alpha=header.has_alpha)


def _shown_frames(variant: Variant, format_: str, header: Header) -> int:
    return header.frames if FORMATS[format_].moves and variant.animation != "first" else 1


def _keeps_profile(plan: VariantPlan, header: Header) -> bool:
    """Where the file can hold it, or its colours would be meant otherwise. Colours that a recipe
    names, and marks, are in sRGB, and so is what is taken for grey.
    """
    variant = plan.variant
    keeps_alpha = FORMATS[plan.format].keeps_alpha
    shows_background = variant.mode == "pad" or (header.has_alpha and not keeps_alpha)
    return (
        variant.metadata == "all"
        and header.has_rgb_profile
        and not (variant.grayscale or variant.watermark or shows_background)
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
