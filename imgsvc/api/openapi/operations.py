"""One operation of the API: what it takes, what it answers, how it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from imgsvc.api.openapi.parameters import PATH_PARAMETERS, REQUEST_ID
from imgsvc.api.openapi.refusals import NOT_FOUND, SAFE, Refusals
from imgsvc.api.openapi.vocabulary import Schema


class Tag(StrEnum):
    """The chapters, in their order."""

    JOBS = "Jobs"
    IMAGES = "Images"
    RESULTS = "Results"
    PROGRESS = "Progress"
    RENDER = "Render"
    PRESETS = "Presets"
    WATERMARKS = "Watermarks"
    DELIVERIES = "Deliveries"
    SERVER = "Server"
    BATCH_UPLOAD = "Dialect A: batch upload"
    BATCH_V1 = "Dialect B: batch v1"
    PRODUCT_CSV = "Dialect C: product CSV"
    JOBS_DIALECT = "Dialect D: jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """answers: by status, what is no problem. refusals: with what it may be refused besides
    that. name: unique, as programs call it.
    """

    method: str
    path: str
    name: str
    tag: Tag
    summary: str
    answers: Mapping[int, Schema]
    refusals: Refusals
    description: str = ""
    parameters: Sequence[Schema] = field(default=())
    body: Schema | None = None

    def document(self) -> Schema:
        document: Schema = {
            "operationId": self.name,
            "tags": [self.tag.value],
            "summary": self.summary,
        }
        if self.description:
            document["description"] = self.description
        document["parameters"] = [*self._parameters()]
        if self.body is not None:
            document["requestBody"] = self.body
        answers = {str(status): answer for status, answer in self.answers.items()}
        document["responses"] = dict(sorted({**answers, **self.refusals.references()}.items()))
        return document

    def _parameters(self) -> Iterator[Schema]:
        for name in re.findall(r"{(\w+)}", self.path):
            yield PATH_PARAMETERS[name]
        yield from self.parameters
        yield REQUEST_ID


def look(
    *,
    path: str,
    name: str,
    tag: Tag,
    summary: str,
    answer: Schema,
    description: str = "",
    parameters: Sequence[Schema] = (),
) -> Operation:
    """A GET with one answer. What its path has a blank for may not be there."""
    return Operation(
        method="get",
        path=path,
        name=name,
        tag=tag,
        summary=summary,
        description=description,
        parameters=parameters,
        answers={200: answer},
        refusals=SAFE | NOT_FOUND if "{" in path else SAFE,
    )
