"""Presets: recipes with a name. Some come with the program, others are kept in the database.

A name that is built in always means the built-in one. Own recipes are judged twice: when
they are saved, and, since that may have been another version, when they are used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from imgsvc.domain.preset import Preset
from imgsvc.domain.times import now_ms
from imgsvc.errors import Fault, InvalidRecipe, InvalidRequest, NotFound, PresetReadonly
from imgsvc.intake.faults import MAX_FAULTS
from imgsvc.intake.preset import find_recipe
from imgsvc.recipes.model import Recipe, canonical_json
from imgsvc.recipes.names import NAMES_ARE, is_name
from imgsvc.recipes.presets import BUILT_IN, DEFAULT_PRESET
from imgsvc.recipes.validation import parse_recipe
from imgsvc.store.lookups import Lookups
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

MAX_OWN_PRESETS = 1000

MAX_NAMES_TOLD = 20
"""How many names are told to who asks for a preset that is not there."""


class KnownPresets:
    """lookups: None where there is no database yet, and so no own preset."""

    def __init__(self, lookups: Lookups | None) -> None:
        self._lookups = lookups

    async def all(self) -> list[Preset]:
        """By name."""
        own = await self._lookups.presets() if self._lookups else []
        found = {preset.name: preset for preset in own}
        found |= {name: _show_built_in(name) for name in BUILT_IN}
        return [found[name] for name in sorted(found)]

    async def get(self, name: str) -> Preset:
        """Raises NotFound."""
        preset = _show_built_in(name) if name in BUILT_IN else await self._find_own(name)
        if preset is None:
            raise _not_found()
        return preset

    async def resolve(self, preset: str | None, recipe: object | None) -> tuple[str | None, Recipe]:
        """The preset's name, if one is used, and the recipe to carry out.

        Raises InvalidRequest for an unknown preset or when both are given, InvalidRecipe, also
        for a preset that was saved by a version that could do more.
        """
        if preset is None or recipe is not None or preset in BUILT_IN:
            return resolve_built_in(preset, recipe)
        own = await self._find_own(preset)
        if own is None:
            raise unknown_preset(known.name for known in await self.all())
        return preset, _load(own)

    async def _find_own(self, name: str) -> Preset | None:
        return await self._lookups.preset(name) if self._lookups and is_name(name) else None


class Presets(KnownPresets):
    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._store = store

    async def save(self, name: str, document: object) -> tuple[Preset, bool]:
        """Keep an own preset, in the place of the one of that name; whether there was none.

        document: the recipe, or what is shown of a preset. Raises PresetReadonly,
        InvalidRequest for a wrong name and for one preset too many, InvalidRecipe.
        """
        check_own_name(name)
        recipe = _judge(*find_recipe(document, name))
        preset = Preset(name, canonical_json(recipe), now_ms())
        is_new = await self._store.save_preset(preset, most=MAX_OWN_PRESETS)
        log.info("preset_saved", name=name, is_new=is_new)
        return preset, is_new

    async def delete(self, name: str) -> None:
        """Jobs keep their copy of the recipe. Raises PresetReadonly, NotFound."""
        if name in BUILT_IN:
            raise _readonly()
        if not is_name(name) or not await self._store.delete_preset(name):
            raise _not_found()
        log.info("preset_deleted", name=name)


def resolve_built_in(
    preset: str | None, recipe: object | None, pointer: str = "/recipe"
) -> tuple[str | None, Recipe]:
    """`Presets.resolve` where there is no database, and so no own preset.

    pointer: where the recipe stands in its request, or nothing where it is all there is.
    """
    if recipe is not None:
        if preset is not None:
            raise InvalidRequest(
                "Give either a preset or a recipe.",
                (Fault("/preset", "not together with recipe"),),
            )
        return None, _judge(recipe, pointer)
    name = DEFAULT_PRESET if preset is None else preset
    if name not in BUILT_IN:
        known = ", ".join(sorted(BUILT_IN))
        raise InvalidRequest(
            f"Without a server there are only the built-in presets: {known}.",
            (Fault("/preset", f"one of {known}"),),
        )
    return name, BUILT_IN[name]


def check_own_name(name: str) -> None:
    """Raises PresetReadonly for a built-in preset, InvalidRequest for what is no name."""
    if name in BUILT_IN:
        raise _readonly()
    if not is_name(name):
        raise InvalidRequest("A preset cannot be called so.", (Fault("/name", NAMES_ARE),))


def _show_built_in(name: str) -> Preset:
    return Preset(name, canonical_json(BUILT_IN[name]), updated_at=None)


def _load(own: Preset) -> Recipe:
    try:
        return _judge(json.loads(own.recipe), "")
    except InvalidRecipe as exc:
        first = exc.faults[0]
        raise InvalidRecipe(
            f"This version cannot carry out the preset {own.name}: {first.pointer}: {first.detail}",
            tuple(Fault("/preset", f"{fault.pointer}: {fault.detail}") for fault in exc.faults),
        ) from exc


def _judge(document: object, pointer: str) -> Recipe:
    """pointer: where the recipe stands in its request. Raises InvalidRecipe."""
    try:
        return parse_recipe(document, pointer)
    except InvalidRecipe as exc:
        raise InvalidRecipe(exc.message, exc.faults[:MAX_FAULTS]) from exc


def unknown_preset(known: Iterable[str]) -> InvalidRequest:
    """What is said to who asks for another one."""
    names = sorted(known)
    told = ", ".join(names[:MAX_NAMES_TOLD]) + (", …" if len(names) > MAX_NAMES_TOLD else "")
    return InvalidRequest("There is no preset of that name.", (Fault("/preset", f"one of {told}"),))


def _readonly() -> PresetReadonly:
    return PresetReadonly("Built-in presets cannot be changed.")


def _not_found() -> NotFound:
    return NotFound("There is no preset of that name.")
