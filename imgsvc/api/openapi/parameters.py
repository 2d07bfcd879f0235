"""What stands in addresses, queries and headers of requests."""

from __future__ import annotations

from imgsvc.api.idempotency import KEY_PATTERN
from imgsvc.api.openapi import examples
from imgsvc.api.openapi.inputs import query_fields, variant_fields
from imgsvc.api.openapi.vocabulary import COUNT, ID, TEXT, Schema, choice, ref
from imgsvc.api.pages import PageSize
from imgsvc.api.preferences import MAX_WAIT_S
from imgsvc.domain.input_names import MAX_NAME_CHARS
from imgsvc.recipes.model import NAME_PATTERN
from imgsvc.recipes.names import NAMES_ARE

_NAME: Schema = {"type": "string", "pattern": NAME_PATTERN.replace(r"\z", "$")}


def _in_path(name: str, schema: Schema, text: str, example: object) -> Schema:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": text,
        "schema": schema,
        "example": example,
    }


def in_query(name: str, schema: Schema, text: str) -> Schema:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _in_header(name: str, schema: Schema, text: str) -> Schema:
    return {"name": name, "in": "header", "description": text, "schema": schema}


PATH_PARAMETERS = {
    "id": _in_path("id", ID, "Of the job, in every dialect.", examples.JOB_ID),
    "index": _in_path(
        "index", {**COUNT, "maximum": 999_999_999}, "Of the image in its job, from 0.", 0
    ),
    "variant": _in_path("variant", _NAME, "Name of a variant of the recipe.", "thumbnail"),
    "name": _in_path("name", _NAME, f"{NAMES_ARE}.".capitalize(), "shop"),
    "delivery_id": _in_path("delivery_id", ID, "Of the delivery.", examples.IMAGE_ID),
    "key": _in_path(
        "key",
        {"type": "string", "pattern": r"^[0-9a-f-]{36}\.[a-z0-9][a-z0-9_-]{0,39}$"},
        "An image's id, a dot, and the name of a variant.",
        f"{examples.IMAGE_ID}.thumbnail",
    ),
}

REQUEST_ID = _in_header(
    "X-Request-ID",
    TEXT,
    "Echoed when it is 1 to 128 visible ASCII characters; made otherwise. Log lines carry it.",
)
IDEMPOTENCY_KEY = _in_header(
    "Idempotency-Key",
    {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
    "With the same payload within 24 hours the first answer is given again, and nothing is done "
    "twice.",
)
PREFER = _in_header(
    "Prefer",
    TEXT,
    f"wait=N: hold the answer until the job is final, at most N seconds, and at most {MAX_WAIT_S}.",
)
LAST_EVENT_ID = _in_header(
    "Last-Event-ID", TEXT, "The id that a reconnecting reader has seen last; browsers send it."
)
NAME = in_query(
    "name",
    {"type": "string", "maxLength": MAX_NAME_CHARS},
    "What the image is called. Only where the body is an image.",
)
CURSOR = in_query("cursor", TEXT, "next_cursor of the page before.")
INLINE = in_query("inline", choice(["0", "1"]), "1: to be displayed, and not saved.")
OF_FILES = (
    _in_header("Range", TEXT, "One range of bytes; several are answered with the whole file."),
    _in_header("If-Range", TEXT, "The range only if the file is still this one."),
    _in_header("If-None-Match", TEXT, "304 when the file is one of these."),
    _in_header("If-Modified-Since", TEXT, "304 when the file has not changed since."),
    _in_header("If-Match", TEXT, "412 unless the file is one of these."),
    _in_header("If-Unmodified-Since", TEXT, "412 when the file has changed since."),
)
IF_NONE_MATCH = OF_FILES[2]


def limit(size: PageSize) -> Schema:
    schema = {"type": "integer", "minimum": 1, "maximum": size.most, "default": size.default}
    return in_query("limit", schema, "How many items the page has at most.")


def status(states: str) -> Schema:
    return in_query("status", ref(states), "Only those in this state.")


def job_fields() -> list[Schema]:
    """Of a submit whose body is an image or a product list."""
    only = " Only where the body is an image or a product list."
    fields = [
        _of_query(field, schema, f"{schema['description']}{only}")
        for field, schema in query_fields().items()
    ]
    return [*fields, NAME]


def render_fields() -> list[Schema]:
    """What a render is asked for."""
    preset = in_query("preset", TEXT, "Name of a preset, in the place of the fields below.")
    variant = in_query("variant", TEXT, "Which variant of the preset, where it has several.")
    fields = [
        _of_query(field, schema, schema["description"])
        for field, schema in variant_fields().items()
    ]
    shown = {"width": 300, "format": "webp"}
    for field in fields:
        if field["name"] in shown:
            field["example"] = shown[field["name"]]
    return [preset, variant, *fields]


def _of_query(name: str, schema: Schema, text: str) -> Schema:
    """An object is written as JSON, a point as `x,y`."""
    bare = {key: value for key, value in schema.items() if key != "description"}
    if name == "gravity":
        bare["oneOf"] = [each for each in bare["oneOf"] if "$ref" not in each]
        bare["oneOf"].append(_POINT)
        return {
            **in_query(name, bare, f"{text} A point is x,y."),
            "style": "form",
            "explode": False,
        }
    if bare.get("$ref", "").endswith(("/Priority",)) or "$ref" not in bare:
        return in_query(name, bare, text)
    kind = bare["$ref"].rpartition("/")[2]
    short = " Also left,top,width,height." if kind == "Crop" else ""
    parameter = in_query(name, bare, f"{text} As JSON.{short}")
    parameter["content"] = {"application/json": {"schema": ref(kind)}}
    del parameter["schema"]
    return parameter


_POINT: Schema = {
    "type": "array",
    "items": {"type": "number", "minimum": 0, "maximum": 1},
    "minItems": 2,
    "maxItems": 2,
}
