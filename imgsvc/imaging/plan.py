"""A recipe compiled for one source: sizes, formats, the shared base, what it will cost."""

from __future__ import annotations

from dataclasses import dataclass

from imgsvc.errors import ImageError, ImageErrorCode
from imgsvc.imaging.encoders import ENCODERS, resolve_format
from imgsvc.imaging.probe import Header
from imgsvc.recipes.model import MAX_SIDE, Recipe, Variant
from imgsvc.recipes.sizes import Size, SizePlan, plan_size


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """How one variant is made from the base. `format` is what `same` came to."""

    variant: Variant
    format: str
    quality: int
    sizes: SizePlan


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """base: size of the one decode that every variant is made from, upright."""

    variants: tuple[VariantPlan, ...]
    base: Size


def make_plan(recipe: Recipe, header: Header) -> RenderPlan:
    """Raises ImageError with output_too_large."""
    variants = tuple(_plan_variant(variant, header) for variant in recipe.variants)
    return RenderPlan(variants, _base_size(header.upright, variants))


def _plan_variant(variant: Variant, header: Header) -> VariantPlan:
    source = header.upright
    format_ = resolve_format(variant.format, header.format, has_alpha=header.has_alpha)
    sizes = plan_size(source, variant.width, variant.height, variant.mode, enlarge=variant.enlarge)
    _check_output(variant, format_, source, sizes.canvas)
    quality = variant.quality or ENCODERS[format_].usual_quality
    return VariantPlan(variant, format_, quality, sizes)


def _base_size(source: Size, variants: tuple[VariantPlan, ...]) -> Size:
    """The largest any variant needs, side by side, and never beyond the source.

    Variants of the source's ratio meet in the largest of them. One with a ratio of its own
    only widens the side it needs, so no variant is ever made by enlarging a shrunk base.
    """
    return Size(
        min(source.width, max(plan.sizes.picture.width for plan in variants)),
        min(source.height, max(plan.sizes.picture.height for plan in variants)),
    )


def _check_output(variant: Variant, format_: str, source: Size, output: Size) -> None:
    """The format's limit, and ours: nothing grows past what a recipe may ask for.

    A side that follows the ratio otherwise could.
    """
    limit = ENCODERS[format_].max_side
    grown = any(after > max(before, MAX_SIDE) for after, before in zip(output, source, strict=True))
    if grown or max(output) > limit:
        raise ImageError(
            ImageErrorCode.OUTPUT_TOO_LARGE,
            f"Variant {variant.name} would be {output.width}x{output.height} pixels,"
            f" {min(limit, MAX_SIDE) if grown else limit} a side is the most for {format_}.",
        )
