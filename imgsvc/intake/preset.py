"""A preset as it is sent: its recipe, or the document that the server shows of it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from imgsvc.errors import Fault, InvalidRequest
from imgsvc.intake.faults import faults_of


class PresetSpec(BaseModel):
    """What a GET shows. The recipe is raw; the rest is not taken, and must not contradict."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    recipe: Any
    name: str | None = None
    readonly: bool = False
    updated_at: str | None = None


def find_recipe(document: object, name: str) -> tuple[object, str]:
    """The recipe in the body of a PUT to `name`, not judged yet, and the JSON Pointer to it.

    Raises InvalidRequest.
    """
    if not isinstance(document, dict) or "recipe" not in document:
        return document, ""
    try:
        spec = PresetSpec.model_validate(document)
    except ValidationError as exc:
        raise InvalidRequest("The preset is not valid.", faults_of(exc)) from exc
    if spec.name not in {None, name}:
        raise _contradiction("/name", f"Must be {name}, or left out.")
    if spec.readonly:
        raise _contradiction("/readonly", "Must be false: own presets can be changed.")
    return spec.recipe, "/recipe"


def _contradiction(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(
        f"The preset is not valid at {pointer}: {detail}", (Fault(pointer, detail),)
    )
