"""A compiled plan, told to people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgsvc.domain.rendering import DecodeLimits
from imgsvc.imaging.cost import predict_cost
from imgsvc.imaging.decoding import find_cuts, load_options
from imgsvc.imaging.loaders import prepare
from imgsvc.imaging.plan import BasePlan, VariantPlan, check_outputs, make_plan
from imgsvc.imaging.probe import Header, check_limits, probe
from imgsvc.imaging.source import Source
from imgsvc.recipes.formats import FORMATS
from imgsvc.recipes.model import Point, Recipe, Variant
from imgsvc.recipes.placement import Box
from imgsvc.recipes.sizes import Size


@dataclass(frozen=True, slots=True)
class VariantStory:
    """steps: in the order in which they are taken, the last one writes the file."""

    name: str
    format: str
    width: int
    height: int
    frames: int
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DecodeStory:
    """One pass over the file. part: what is decoded of the upright picture, None for all.

    shrink: by what the decoder itself divides the sides, 1 for not at all.
    width, height: what is kept in memory, for all these variants.
    profile: "sRGB", or "kept".
    """

    part: Box | None
    shrink: float
    width: int
    height: int
    frames: int
    profile: str
    variants: tuple[VariantStory, ...]


@dataclass(frozen=True, slots=True)
class PlanStory:
    """The picture as it is seen, and what happens to it. memory_bytes: predicted, at most."""

    format: str
    width: int
    height: int
    frames: int
    orientation: int
    memory_bytes: int
    decodes: tuple[DecodeStory, ...]


def tell_plan(path: Path, recipe: Recipe, limits: DecodeLimits) -> PlanStory:
    """Reads the header; the pixels only where a trim has to look for its border.

    Raises ImageError as rendering would, OSError for a file that cannot be read.
    """
    prepare()
    header = probe(str(path))
    check_limits(header, limits)
    plan = make_plan(recipe, header, find_cuts(Source(str(path), header), recipe))
    check_outputs(plan)
    return PlanStory(
        header.format,
        *header.upright,
        header.frames,
        header.orientation,
        predict_cost(header, plan),
        tuple(_tell_decode(header, base) for base in plan.bases),
    )


def _tell_decode(header: Header, base: BasePlan) -> DecodeStory:
    options = load_options(header, base)
    shrink = options.get("shrink") or round(1 / options.get("scale", 1.0), 2)
    return DecodeStory(
        None if base.box.size == header.upright else base.box,
        shrink,
        *base.size,
        base.frames,
        "kept" if base.keeps_profile else "sRGB",
        tuple(_tell_variant(base.size, variant) for variant in base.variants),
    )


def _tell_variant(base: Size, plan: VariantPlan) -> VariantStory:
    width, height = plan.sizes.canvas
    steps = tuple(step for step in (*_tell_steps(base, plan), _tell_encoding(plan)) if step)
    return VariantStory(plan.variant.name, plan.format, width, height, plan.frames, steps)


def _tell_steps(base: Size, plan: VariantPlan) -> list[str]:
    variant, sizes = plan.variant, plan.sizes
    return [
        f"resize {_sides(sizes.picture)}" if sizes.picture != base else "",
        f"cut {_sides(sizes.kept)} {_gravity(variant)}" if sizes.kept != sizes.picture else "",
        f"rotate {variant.rotate}" if variant.rotate else "",
        "flip" if variant.flip else "",
        "flop" if variant.flop else "",
        "grayscale" if variant.grayscale else "",
        f"blur {variant.blur:g}" if variant.blur else "",
        "sharpen" if variant.sharpen else "",
        f"pad {_sides(sizes.canvas)} {variant.background}" if _is_padded(plan) else "",
        "watermark" if variant.watermark else "",
    ]


def _tell_encoding(plan: VariantPlan) -> str:
    variant = plan.variant
    words = [plan.format]
    if plan.frames > 1:
        words.append(f"of {plan.frames} frames")
    if plan.quality is not None:
        words.append(f"quality {plan.quality}")
        if variant.max_bytes is not None:
            words.append(f"or less, until it fits {variant.max_bytes} bytes")
    elif variant.lossless and FORMATS[plan.format].lossless:
        words.append("lossless")
    if variant.effort is not None:
        words.append(f"effort {variant.effort}")
    if variant.metadata != "none":
        words.append(f"with {variant.metadata} metadata")
    return " ".join(words)


def _is_padded(plan: VariantPlan) -> bool:
    turned = plan.variant.rotate in (90, 270)
    width, height = plan.sizes.kept
    return plan.sizes.canvas != (Size(height, width) if turned else plan.sizes.kept)


def _gravity(variant: Variant) -> str:
    gravity = variant.gravity
    return f"at {gravity.x:g},{gravity.y:g}" if isinstance(gravity, Point) else gravity


def _sides(size: Size) -> str:
    return f"{size.width}x{size.height}"
