"""What is wrong with a document, in plain words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imgsvc.domain.wording import put_plainly


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    whole: Annotated[int, Field(ge=0, le=3_162_240_000)] = 0
    some: Annotated[float, Field(gt=0.5, le=100)] = 1
    text: Annotated[str, Field(max_length=3)] = ""
    switch: bool = False
    mode: Literal["fit", "fill"] = "fit"
    title: Annotated[str, Field(min_length=1)] = "a"
    urls: Annotated[list[str], Field(min_length=1)] = ["a"]
    inner: _Inner | None = None


class _Inner(BaseModel):
    url: str


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"other": 1}, "unknown field"),
        ({"inner": {}}, "this field is required"),
        ({"inner": 1}, "must be an object"),
        ({"whole": 1.5}, "must be a whole number"),
        ({"whole": -1}, "must be at least 0"),
        ({"whole": 3_162_240_001}, "must be at most 3162240000"),
        ({"some": "1"}, "must be a number"),
        ({"some": 0.5}, "must be more than 0.5"),
        ({"some": 101.0}, "must be at most 100"),
        ({"text": 1}, "must be a string"),
        ({"text": "long"}, "must have at most 3 characters"),
        ({"switch": "yes"}, "must be true or false"),
        ({"mode": "squeeze"}, "must be 'fit' or 'fill'"),
        ({"title": ""}, "must have 1 or more characters"),
        ({"urls": "a"}, "must be a list"),
        ({"urls": []}, "must have 1 or more entries"),
    ],
)
def test_what_is_wrong_is_said_without_python(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _Document.model_validate(document)
    assert [put_plainly(error) for error in caught.value.errors()] == [words]
