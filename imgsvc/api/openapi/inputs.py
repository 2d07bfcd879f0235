"""What may be sent: the schemas of the models that judge it, with what validators add to them.

A model says in Python what a field is for; what clients are told of it stands here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from imgsvc.api.dialects.batch_v1 import narrow_limits
from imgsvc.api.openapi.field_words import WORDS
from imgsvc.api.openapi.vocabulary import WEB_ADDRESS, Schema, nullable, ref, said
from imgsvc.config import LimitSettings
from imgsvc.dispatch.workforce import MAX_SIZE
from imgsvc.intake.batch_spec import BatchSpec
from imgsvc.intake.preset import PresetSpec
from imgsvc.intake.render_query import FIELDS
from imgsvc.intake.retry import RetrySpec
from imgsvc.intake.spec import QUERY_FIELDS, JobSpec
from imgsvc.intake.workers import WorkersSpec
from imgsvc.recipes.model import MAX_VARIANTS, Recipe

_FIXED_GRAVITIES = ("attention", "entropy")
"""What looks into the picture, and is no place for a watermark."""


def input_schemas(limits: LimitSettings) -> dict[str, Schema]:
    """By name, of everything that is sent as JSON."""
    schemas: dict[str, Schema] = {}
    for model in (Recipe, JobSpec, PresetSpec, RetrySpec, WorkersSpec, BatchSpec):
        schemas |= _schemas_of(model)
    _tell_of_recipes(schemas)
    _tell_of_jobs(schemas, limits)
    most = narrow_limits(limits).max_images_per_job
    schemas["BatchSpec"]["properties"]["images"]["maxItems"] = most
    schemas["PresetSpec"]["properties"]["recipe"] = ref("Recipe")
    schemas["PresetSpec"]["properties"]["readonly"]["enum"] = [False]
    schemas["WorkersSpec"]["properties"]["size"]["maximum"] = MAX_SIZE
    _exclude_each_other(schemas["RetrySpec"], "codes", "indexes")
    return schemas


def query_fields() -> dict[str, Schema]:
    """Of a job whose body is an image or a product list: by name, as a query has them."""
    fields = dict(_schemas_of(JobSpec)["JobSpec"]["properties"])
    webhook = _schemas_of(JobSpec)["WebhookSpec"]["properties"]["url"] | {"pattern": WEB_ADDRESS}
    fields["webhook_url"] = said(webhook, WORDS["JobSpec.webhook_url"])
    fields["recipe"] = said(ref("Recipe"), WORDS["JobSpec.recipe"])
    return {name: _written(fields[name]) for name in QUERY_FIELDS}


def variant_fields() -> dict[str, Schema]:
    """Of a variant, but its name: what a render is asked for, as JSON has it."""
    fields = _schemas_of(Recipe)["Variant"]["properties"]
    return {name: _written(fields[name]) for name in FIELDS}


def _written(schema: Schema) -> Schema:
    """As it is in queries and forms, where null cannot be written, and need not be. Generated
    clients send what has a default, also where nothing may be sent: beside a document, or a preset.
    """
    rest = {key: value for key, value in schema.items() if key != "default"}
    branches = [b for b in rest.pop("anyOf", ()) if b != {"type": "null"}]
    if len(branches) == 1:
        return {**branches[0], **rest}
    return rest | ({"anyOf": branches} if branches else {})


def _schemas_of(model: type[BaseModel]) -> dict[str, Schema]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    found = {**schema.pop("$defs", {}), model.__name__: schema}
    return {name: _told(name, _plain(each)) for name, each in found.items()}


def _plain(value: Any) -> Any:
    """Without titles, which repeat the names, and with patterns as ECMA 262 has them."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    plain = dict(_plain_items(value))
    if isinstance(plain.get("pattern"), str):
        plain["pattern"] = plain["pattern"].replace(r"\z", "$")
    return plain


def _plain_items(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        if key == "properties":  # where `title` and `description` are names like others
            yield key, {name: _plain(each) for name, each in value.items()}
        elif key not in {"title", "description"}:
            yield key, _plain(value)


def _told(name: str, schema: Schema) -> Schema:
    """With what WORDS say of it, and of each of its fields."""
    told = said(schema, WORDS[name]) if name in WORDS else schema
    fields = told.get("properties", {})
    for field in fields:
        if words := WORDS.get(f"{name}.{field}"):
            fields[field] = said(fields[field], words)
    return told


def _tell_of_recipes(schemas: dict[str, Schema]) -> None:
    """What the models' validators say, and no field does."""
    schemas["Recipe"]["properties"]["variants"] |= {"minItems": 1, "maxItems": MAX_VARIANTS}
    mark = schemas["Watermark"]
    del mark["properties"]["sha256"]  # set by the server alone
    mark["properties"]["gravity"]["not"] = {"enum": list(_FIXED_GRAVITIES)}
    mark["oneOf"] = [_given("preset_image"), _given("text")]


def _tell_of_jobs(schemas: dict[str, Schema], limits: LimitSettings) -> None:
    fields = schemas["JobSpec"]["properties"]
    fields["recipe"] = said(nullable(ref("Recipe")), fields["recipe"]["description"])
    fields["images"]["maxItems"] = limits.max_images_per_job
    schemas["WebhookSpec"]["properties"]["url"]["pattern"] = WEB_ADDRESS
    _exclude_each_other(schemas["JobSpec"], "preset", "recipe")
    schemas["ImageSpec"]["oneOf"] = [_given("data"), _given("url")]
    schemas["BatchImageSpec"]["oneOf"] = [_given("base64"), _given("url")]


def _given(name: str) -> Schema:
    """Null counts as not given."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _exclude_each_other(schema: Schema, *names: str) -> None:
    schema["not"] = {"allOf": [_given(name) for name in names]}
