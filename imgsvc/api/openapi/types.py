"""What a schema means, in a few words."""

from __future__ import annotations

import json
from collections.abc import Iterator

from imgsvc.api.openapi.markup import Html, element, join, phrase
from imgsvc.api.openapi.vocabulary import Schema

_FORMATS = {"binary": "file", "uuid": "UUID", "uri": "URL", "uri-reference": "path"}
_UNITS = {"Length": " characters", "Items": " items", "imum": ""}


def schema_link(name: str) -> Html:
    return element("a", name, href=f"#schema-{name}")


def describe_type(schema: Schema) -> Html:
    """Its kind, and what bounds it."""
    bounds = [*_bounds(schema)]
    return join(_kind(schema), *(join(", ", bound) for bound in bounds))


def describe_fields(schema: Schema, prefix: str = "") -> Iterator[list[str]]:
    """Name, kind and words of every field; those of a record within have its name before them."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        mark = element("span", " *", class_="required", title="required")
        label = element("code", f"{prefix}{name}")
        named = join(label, mark) if name in required else label
        yield [named, describe_type(field), phrase(field.get("description", ""))]
        within = field.get("items", field)
        if "properties" in within:
            dots = "[]." if "items" in field else "."
            yield from describe_fields(within, f"{prefix}{name}{dots}")


def _kind(schema: Schema) -> Html:
    if "$ref" in schema:
        return schema_link(schema["$ref"].rpartition("/")[2])
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches and "properties" not in schema:
        return join(*map(describe_type, branches), by=" or ")
    if "const" in schema:
        return element("code", json.dumps(schema["const"]))
    if "enum" in schema:
        return join(*(element("code", _plain(value)) for value in schema["enum"]), by=" | ")
    kinds = schema.get("type", "any")
    if isinstance(kinds, list):
        return join(*(_one_kind(kind, schema) for kind in kinds), by=" or ")
    return _one_kind(kinds, schema)


def _one_kind(kind: str, schema: Schema) -> Html:
    if kind == "array":
        return join("array of ", describe_type(schema["items"]))
    if kind == "string" and "format" in schema:
        return join(_FORMATS.get(schema["format"], str(schema["format"])))
    more = schema.get("additionalProperties")
    if kind == "object" and isinstance(more, dict):
        return join("object of ", describe_type(more))
    return join(kind)


def _bounds(schema: Schema) -> Iterator[Html]:
    for end, unit in _UNITS.items():
        least, most = schema.get(f"min{end}"), schema.get(f"max{end}")
        if least is not None and most is not None:
            yield join(f"{least} to {most}{unit}")
        elif most is not None:
            yield join(f"at most {most}{unit}")
        elif least:
            yield join(f"at least {least}{unit}")
    if "pattern" in schema and "format" not in schema:
        yield join("matching ", element("code", schema["pattern"]))
    if schema.get("default") not in (None, []):
        yield join("default ", element("code", _plain(schema["default"])))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
