"""Which images are to be tried again: the body of a retry."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imgsvc.errors import ImageErrorCode, InvalidRequest
from imgsvc.intake.faults import faults_of

_Index = Annotated[int, Field(ge=0, strict=True)]


class RetrySpec(BaseModel):
    """None means all: of every code, or at every index."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    codes: Annotated[tuple[ImageErrorCode, ...], Field(fail_fast=True)] | None = None
    indexes: Annotated[tuple[_Index, ...], Field(fail_fast=True)] | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> RetrySpec:
        if self.codes is not None and self.indexes is not None:
            raise ValueError("give either codes or indexes")
        return self


def parse_retry(document: object) -> RetrySpec:
    """Raises InvalidRequest."""
    try:
        return RetrySpec.model_validate(document)
    except ValidationError as exc:
        raise InvalidRequest("The retry is not valid.", faults_of(exc)) from exc
