"""Is this a recipe, and can this version carry it out? Both answers name every wrong place."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from imgsvc.errors import Fault, InvalidRecipe
from imgsvc.recipes.model import Recipe, Variant

AVAILABLE_FIELDS = frozenset(
    {
        "name",
        "width",
        "height",
        "mode",
        "enlarge",
        "gravity",
        "flip",
        "flop",
        "background",
        "grayscale",
        "blur",
        "sharpen",
        "watermark",
        "format",
        "quality",
        "animation",
    }
)
"""Fields that are carried out, with the exceptions in UNAVAILABLE_VALUES."""

UNAVAILABLE_VALUES: dict[str, frozenset[Any]] = {
    "animation": frozenset({"all"}),
}

_PLAINER = {
    "model_type": "should be an object",
    "extra_forbidden": "there is no such field",
    "missing": "this field is required",
}
"""Where pydantic speaks of Python, by type of error."""


def parse_recipe(data: object) -> Recipe:
    """The recipe in `data`, a value as `json.loads` gives it.

    Raises InvalidRecipe with a fault for every wrong place.
    """
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False)
        raise _invalid(_faults(data, errors)) from exc
    faults = (*_repeated_names(recipe), *_internal_fields(recipe))
    if faults:
        raise _invalid(faults)
    return recipe


def check_supported(recipe: Recipe) -> None:
    """Raise InvalidRecipe for fields that are valid but not carried out in this version.

    Nothing that was asked for is ever ignored without a word.
    """
    faults = tuple(
        Fault(f"/variants/{number}/{field}", "not available in this version")
        for number, variant in enumerate(recipe.variants)
        for field in _unavailable_fields(variant)
    )
    if faults:
        raise _invalid(faults)


def _unavailable_fields(variant: Variant) -> list[str]:
    return [
        field
        for field, info in Variant.model_fields.items()
        if getattr(variant, field) != info.default and not _is_available(variant, field)
    ]


def _is_available(variant: Variant, field: str) -> bool:
    if field not in AVAILABLE_FIELDS:
        return False
    return getattr(variant, field) not in UNAVAILABLE_VALUES.get(field, frozenset())


def _repeated_names(recipe: Recipe) -> tuple[Fault, ...]:
    seen: Counter[str] = Counter()
    faults = []
    for number, variant in enumerate(recipe.variants):
        if seen[variant.name]:
            faults.append(Fault(f"/variants/{number}/name", "this name is used more than once"))
        seen[variant.name] += 1
    return tuple(faults)


def _internal_fields(recipe: Recipe) -> tuple[Fault, ...]:
    """What the model has for us alone is to everybody else a field that is not there."""
    return tuple(
        Fault(f"/variants/{number}/watermark/sha256", _PLAINER["extra_forbidden"])
        for number, variant in enumerate(recipe.variants)
        if variant.watermark is not None and "sha256" in variant.watermark.model_fields_set
    )


def _invalid(faults: tuple[Fault, ...]) -> InvalidRecipe:
    first = faults[0]
    return InvalidRecipe(f"The recipe is not valid: {first.pointer or '/'}: {first.detail}", faults)


def _faults(data: object, errors: list[ErrorDetails]) -> tuple[Fault, ...]:
    """One fault for each place; what several branches of a union say of it is joined."""
    details: dict[str, list[str]] = {}
    for error in errors:
        said = details.setdefault(_pointer(data, error["loc"]), [])
        detail = _PLAINER.get(error["type"], error["msg"])
        if detail not in said:
            said.append(detail)
    return tuple(Fault(pointer, "; or ".join(said)) for pointer, said in details.items())


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
