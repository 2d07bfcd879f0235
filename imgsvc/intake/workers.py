"""How many workers there are to be: the body of a change to the pool."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imgsvc.errors import InvalidRequest
from imgsvc.intake.faults import faults_of


class WorkersSpec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Annotated[int, Field(ge=1, strict=True)]


def parse_workers(document: object) -> WorkersSpec:
    """Raises InvalidRequest."""
    try:
        return WorkersSpec.model_validate(document)
    except ValidationError as exc:
        raise InvalidRequest("The change to the workers is not valid.", faults_of(exc)) from exc
