"""The words that schemas are put together from (JSON Schema 2020-12, as OpenAPI 3.1 has it).

A record is closed and complete: every field is there, and no other. What may be absent is null.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
PIXELS: Schema = {"type": "integer", "minimum": 1, "description": "In pixels."}
BYTES: Schema = {"type": "string", "format": "binary"}
PERCENTAGE: Schema = {"type": "number", "minimum": 0, "maximum": 100}
ID: Schema = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
}
SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "Hexadecimal."}
MOMENT: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
}
PATH: Schema = {"type": "string", "format": "uri-reference", "pattern": "^/"}
URL: Schema = {"type": "string", "format": "uri", "pattern": "^https?://"}
WEB_ADDRESS = "^[hH][tT][tT][pP][sS]?://"
"""A pattern of what may be sent as one: a scheme is one in any case."""


def record(**fields: Schema) -> Schema:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def choice(values: Iterable[str]) -> Schema:
    return {"type": "string", "enum": [str(value) for value in values]}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def nullable(schema: Schema) -> Schema:
    if isinstance(schema.get("type"), str) and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> Schema:
    """A schema out of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def said(schema: Schema, text: str) -> Schema:
    """The schema with a sentence on what it is here."""
    return {**schema, "description": text}


def shown(schema: Schema, example: Any) -> Schema:
    return {**schema, "examples": [example]}
