"""What one file is to be made into, as a query says it: a preset, or the fields of a variant.

How the text of a field is read is taken from the recipe's model, so that a field that is added
there can be given here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from imgsvc.errors import Fault, InvalidRecipe, InvalidRequest
from imgsvc.recipes.model import Variant

VARIANT = "render"
"""Name of the only variant of a recipe that a query gives; nobody sees it."""

FIELDS = tuple(name for name in Variant.model_fields if name != "name")
PARAMETERS = ("preset", "variant", *FIELDS)

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?(?:[0-9]{1,18}\.?[0-9]{0,18}|\.[0-9]{1,18})")
_NUMBERS = frozenset({"integer", "number"})
_WORDS = {"true": True, "false": False}
_SWITCHES = {"1": True, "0": False}

_Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RenderSpec:
    """preset: None when `recipe`, a document to be judged, was given by its fields.

    variant: which one of the preset; None for its only one.
    """

    preset: str | None
    variant: str | None
    recipe: Mapping[str, Any]


def parse_render(query: Mapping[str, str]) -> RenderSpec:
    """The spec in parameters out of PARAMETERS; an empty one, as forms send it, counts as not
    given. Raises InvalidRequest for some that do not go together, InvalidRecipe.
    """
    given = {name: text for name, text in query.items() if text != ""}
    preset, variant = given.pop("preset", None), given.pop("variant", None)
    if preset is not None and given:
        faults = tuple(Fault(f"/{name}", "not together with preset") for name in given)
        raise InvalidRequest("Give either a preset or the fields of a variant.", faults)
    if preset is None and variant is not None:
        fault = Fault("/variant", "only together with preset")
        raise InvalidRequest("A variant is one of a preset.", (fault,))
    fields = {name: _read(name, text) for name, text in given.items()}
    return RenderSpec(preset, variant, {"variants": [{"name": VARIANT, **fields}]})


def _read(name: str, text: str) -> object:
    """The value as JSON has it, else the text itself, for validation to say what is wrong."""
    schemas = _schemas(name)
    kinds = {schema.get("type") for schema in schemas} - {"null"}
    words = _WORDS | (_SWITCHES if kinds == {"boolean"} else {})
    if "boolean" in kinds and text.lower() in words:
        return words[text.lower()]
    if kinds & _NUMBERS and (number := _number(text)) is not None:
        return number
    if "object" in kinds and (value := _object(schemas, text)) is not None:
        return value
    if kinds == {"object"}:
        raise _no_object(name, schemas)
    return text


def _number(text: str) -> float | None:
    """None when it is none."""
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else None


def _object(schemas: tuple[_Schema, ...], text: str) -> object:
    """JSON, or all the numbers of an object with a comma between them; None when it is neither."""
    if text.startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None
    numbers = [_number(part.strip()) for part in text.split(",")]
    for names in map(_number_names, schemas):
        if names and len(numbers) == len(names) and None not in numbers:
            return dict(zip(names, numbers, strict=True))
    return None


def _number_names(schema: _Schema) -> list[str]:
    """The fields, in their order, of an object that is nothing but numbers; else none."""
    properties: dict[str, _Schema] = schema.get("properties", {})
    is_plain = all(field.get("type") in _NUMBERS for field in properties.values())
    return list(properties) if is_plain and set(schema.get("required", ())) == {*properties} else []


def _no_object(name: str, schemas: tuple[_Schema, ...]) -> InvalidRecipe:
    names = next(filter(None, map(_number_names, schemas)), None)
    detail = f"must be {','.join(names)} in numbers" if names else "must be a JSON object"
    return InvalidRecipe(
        f"The recipe is not valid: /{name}: {detail}", (Fault(f"/{name}", detail),)
    )


@cache
def _schemas(name: str) -> tuple[_Schema, ...]:
    """What a field may be: JSON schemas, each of one type."""
    schema = Variant.model_json_schema()
    return tuple(_branches(schema["properties"][name], schema.get("$defs", {})))


def _branches(schema: _Schema, definitions: Mapping[str, _Schema]) -> Iterator[_Schema]:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    branches = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if branches is None:
        yield schema
    else:
        for branch in branches:
            yield from _branches(branch, definitions)
