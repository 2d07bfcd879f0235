"""Presets: recipes with a name."""

from __future__ import annotations

from imgsvc.errors import Fault, InvalidRecipe, InvalidRequest, NotFound
from imgsvc.recipes.model import Recipe
from imgsvc.recipes.presets import BUILT_IN, DEFAULT_PRESET
from imgsvc.recipes.validation import check_supported, parse_recipe


class Presets:
    def all(self) -> dict[str, Recipe]:
        return dict(BUILT_IN)

    def get(self, name: str) -> Recipe:
        """Raises NotFound."""
        try:
            return BUILT_IN[name]
        except KeyError as exc:
            raise NotFound("There is no preset of that name.") from exc

    def resolve(self, preset: str | None, recipe: object | None) -> tuple[str | None, Recipe]:
        """The preset's name, if one is used, and the recipe to carry out.

        Raises InvalidRequest for an unknown preset or when both are given, InvalidRecipe.
        """
        if recipe is not None:
            if preset is not None:
                raise InvalidRequest(
                    "Give either a preset or a recipe.",
                    (Fault("/preset", "not together with recipe"),),
                )
            return None, _parse_own(recipe)
        name = DEFAULT_PRESET if preset is None else preset
        if name not in BUILT_IN:
            known = ", ".join(sorted(BUILT_IN))
            raise InvalidRequest(
                "There is no preset of that name.", (Fault("/preset", f"one of {known}"),)
            )
        return name, BUILT_IN[name]


def _parse_own(document: object) -> Recipe:
    """Raises InvalidRecipe, its pointers leading into the request that holds the recipe."""
    try:
        recipe = parse_recipe(document)
        check_supported(recipe)
    except InvalidRecipe as exc:
        faults = tuple(Fault(f"/recipe{f.pointer}", f.detail) for f in exc.faults)
        raise InvalidRecipe(exc.message, faults) from exc
    return recipe
