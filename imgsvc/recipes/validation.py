"""Is this a recipe? The answer names every wrong place."""

from __future__ import annotations

from collections import Counter

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from imgsvc.domain.wording import UNKNOWN_FIELD, put_plainly
from imgsvc.errors import Fault, InvalidRecipe
from imgsvc.recipes.formats import FORMATS
from imgsvc.recipes.model import Recipe
from imgsvc.recipes.names import NAMES_ARE

_PATTERNS = {
    "background": "must be a colour: #rgb, #rgba, #rrggbb or #rrggbbaa",
    "name": f"must be {NAMES_ARE}",
    "preset_image": f"must be {NAMES_ARE}",
}
"""Where pydantic shows a regular expression, by field."""


def parse_recipe(data: object, pointer: str = "") -> Recipe:
    """The recipe in `data`, a value as `json.loads` gives it.

    pointer: where it stands in what was sent; faults are told from there. Raises InvalidRecipe
    with a fault for every wrong place.
    """
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
        raise _invalid(_faults(data, errors), pointer) from exc
    faults = (
        *_repeated_names(recipe),
        *_impossible_sides(recipe),
        *_internal_fields(recipe),
    )
    if faults:
        raise _invalid(faults, pointer)
    return recipe


def _repeated_names(recipe: Recipe) -> tuple[Fault, ...]:
    seen: Counter[str] = Counter()
    faults = []
    for number, variant in enumerate(recipe.variants):
        if seen[variant.name]:
            faults.append(Fault(f"/variants/{number}/name", "this name is used more than once"))
        seen[variant.name] += 1
    return tuple(faults)


def _impossible_sides(recipe: Recipe) -> tuple[Fault, ...]:
    """What is asked for is more than the format can hold, whatever the picture."""
    return tuple(
        Fault(
            f"/variants/{number}/{side}",
            f"{variant.format} holds at most {FORMATS[variant.format].max_side} pixels a side",
        )
        for number, variant in enumerate(recipe.variants)
        for side in ("width", "height")
        if variant.format in FORMATS
        and (getattr(variant, side) or 0) > FORMATS[variant.format].max_side
    )


def _internal_fields(recipe: Recipe) -> tuple[Fault, ...]:
    """What the model has for us alone is to everybody else a field that is not there."""
    return tuple(
        Fault(f"/variants/{number}/watermark/sha256", UNKNOWN_FIELD)
        for number, variant in enumerate(recipe.variants)
        if variant.watermark is not None and "sha256" in variant.watermark.model_fields_set
    )


def _invalid(found: tuple[Fault, ...], pointer: str) -> InvalidRecipe:
    faults = tuple(Fault(f"{pointer}{fault.pointer}", fault.detail) for fault in found)
    first = faults[0]
    return InvalidRecipe(f"The recipe is not valid: {first.pointer or '/'}: {first.detail}", faults)


def _faults(data: object, errors: list[ErrorDetails]) -> tuple[Fault, ...]:
    """One fault for each place; what several branches of a union say of it is joined."""
    details: dict[str, list[str]] = {}
    for error in errors:
        said = details.setdefault(_pointer(data, error["loc"]), [])
        detail = _explain(error)
        if detail not in said:
            said.append(detail)
    return tuple(Fault(pointer, "; or ".join(said)) for pointer, said in details.items())


def _explain(error: ErrorDetails) -> str:
    if error["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(str(error["loc"][-1]), error["msg"])
    return put_plainly(error)


def _pointer(data: object, location: tuple[int | str, ...]) -> str:
    """JSON Pointer (RFC 6901) of a pydantic location, which also names branches of unions.

    A part is kept when it leads into `data`, or when it is the key that is missing there.
    """
    parts: list[str] = []
    current: object = data
    for place, part in enumerate(location):
        is_last = place == len(location) - 1
        if isinstance(current, dict) and (part in current or is_last):
            current = current.get(part)
        elif isinstance(current, list) and isinstance(part, int):
            current = current[part] if part < len(current) else None
        else:
            continue
        parts.append(str(part).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{part}" for part in parts)
