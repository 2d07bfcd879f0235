"""What a client of the batch design asks for: a list of images and nothing else."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imgsvc.errors import Fault, InvalidRequest
from imgsvc.intake.faults import faults_of
from imgsvc.intake.json_scanner import LiftPath
from imgsvc.intake.spec import ImageSpec

BATCH_IMAGES: LiftPath = ("images", None, "base64")


class BatchImageSpec(ImageSpec):
    """An image as in a JobSpec, with its data under another name."""

    data: str | None = Field(None, alias="base64")


class BatchSpec(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    images: Annotated[list[BatchImageSpec], Field(min_length=1, fail_fast=True)]


def parse_batch(document: object) -> BatchSpec:
    """Raises InvalidRequest with a fault for every wrong place, of lists the first one."""
    try:
        spec = BatchSpec.model_validate(document)
    except ValidationError as exc:
        raise _refusal(faults_of(exc)) from exc
    faults = tuple(
        Fault(f"/images/{index}", "Give either base64 or url.")
        for index, image in enumerate(spec.images)
        if (image.data is None) == (image.url is None)
    )
    if faults:
        raise _refusal(faults)
    return spec


def _refusal(faults: tuple[Fault, ...]) -> InvalidRequest:
    where = f" at {faults[0].pointer}" if faults[0].pointer else ""
    return InvalidRequest(f"The batch is not valid{where}: {faults[0].detail}", faults)
