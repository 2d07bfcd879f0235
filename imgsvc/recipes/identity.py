"""When two variants are the same, whatever they are called and wherever they stand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from imgsvc.recipes.model import Recipe, Variant, canonical_json, load_recipe


@lru_cache(maxsize=256)
def variant_keys(recipe: str) -> Mapping[str, str]:
    """Name of each variant of a canonical recipe, in order, and what tells it from others."""
    return {
        variant.name: _digest(
            variant.model_dump_json(exclude_defaults=True, exclude=_names_of(variant))
        )
        for variant in load_recipe(recipe).variants
    }


@lru_cache(maxsize=256)
def keep_variants(recipe: str, names: frozenset[str]) -> str:
    """A canonical recipe with only these of its variants."""
    variants = load_recipe(recipe).variants
    return canonical_json(Recipe(variants=tuple(v for v in variants if v.name in names)))


@lru_cache(maxsize=256)
def recipe_digest(recipe: str) -> str:
    """The same for recipes that make the same variants, whatever they are called."""
    return _digest("\n".join(variant_keys(recipe).values()))


def _names_of(variant: Variant) -> dict[str, Any]:
    """The fields that only call something by a name: a pinned watermark is its content."""
    if variant.watermark is None or variant.watermark.sha256 is None:
        return {"name": True}
    return {"name": True, "watermark": {"preset_image"}}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
