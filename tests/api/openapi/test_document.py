"""The document is a valid one, and it is about this server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from types import SimpleNamespace
from typing import Any, cast

import pytest
from openapi_spec_validator import validate

import imgsvc
from imgsvc.api.app import build_app
from imgsvc.api.context import Context
from imgsvc.api.openapi.document import build_document
from imgsvc.api.openapi.field_words import WORDS
from imgsvc.api.openapi.inputs import input_schemas
from imgsvc.api.problems import IMAGE_STATUSES, STATUSES
from imgsvc.config import LimitSettings, load_settings
from tests.descriptions import PAGE_FILES, Description

LIMITS = LimitSettings()
DOCUMENT = build_document(LIMITS)
DESCRIPTION = Description(DOCUMENT)
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    operation["operationId"]: operation
    for methods in DOCUMENT["paths"].values()
    for operation in methods.values()
}


def served() -> set[tuple[str, str]]:
    """Methods and paths of the application's routes, HEAD aside, which every GET brings along."""
    context = SimpleNamespace(settings=load_settings(environ={}))
    return {
        (route.method, route.resource.canonical)
        for route in build_app(cast(Context, context)).router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


def described() -> set[tuple[str, str]]:
    return {
        (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }


def all_of(value: Any, key: str) -> Iterator[Any]:
    """Everything that stands under `key`, anywhere in a document."""
    if isinstance(value, list):
        yield from chain.from_iterable(all_of(each, key) for each in value)
    elif isinstance(value, dict):
        if key in value:
            yield value[key]
        yield from chain.from_iterable(all_of(each, key) for each in value.values())


def test_it_is_valid() -> None:
    validate(DOCUMENT)


def test_it_is_of_this_version_and_stands_wherever_it_is_served() -> None:
    assert DOCUMENT["info"]["version"] == imgsvc.__version__
    assert [server["url"] for server in DOCUMENT["servers"]] == ["."]


def test_every_route_is_described_and_nothing_else() -> None:
    assert {each for each in served() if not each[1].startswith(PAGE_FILES)} == described()


def test_every_operation_has_a_name_a_chapter_and_words() -> None:
    names = [*all_of(DOCUMENT, "operationId")]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert {tag for each in OPERATIONS.values() for tag in each["tags"]} == tags
    assert all(each["summary"] for each in OPERATIONS.values())


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_example_is_as_its_schema_says(name: str) -> None:
    for example in SCHEMAS[name].get("examples", ()):
        DESCRIPTION.check({"$ref": f"#/components/schemas/{name}"}, example)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_example_of_a_request_is_as_its_schema_says(name: str) -> None:
    operation = OPERATIONS[name]
    for content in operation.get("requestBody", {"content": {}})["content"].values():
        if "example" in content:
            DESCRIPTION.check(content["schema"], content["example"])
    for parameter in operation["parameters"]:
        if "example" in parameter:
            DESCRIPTION.check(parameter["schema"], parameter["example"])


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["responses"]))
def test_every_problem_that_is_shown_is_one(name: str) -> None:
    answer = DOCUMENT["components"]["responses"][name]
    content = answer["content"]["application/problem+json"]
    for example in content["examples"].values():
        DESCRIPTION.check(content["schema"], example["value"])


def test_every_code_is_among_those_of_problems() -> None:
    assert SCHEMAS["Problem"]["properties"]["code"]["enum"] == [*(STATUSES | IMAGE_STATUSES)]


def test_what_is_answered_is_closed_and_complete() -> None:
    sent = set(input_schemas(LIMITS))
    answers = {name: schema for name, schema in SCHEMAS.items() if name not in sent}
    for name, schema in answers.items():
        for fields in [s for s in [schema, *records_in(schema)] if "properties" in s]:
            optional = {"task_id"} if name == "UploadedBatch" else set()
            assert set(fields["required"]) == set(fields["properties"]) - optional, name
            assert fields["additionalProperties"] is False, name


def records_in(schema: Any) -> Iterator[Any]:
    for fields in all_of(schema, "properties"):
        yield from fields.values()
    yield from chain.from_iterable(all_of(schema, "oneOf"))


def test_nothing_that_is_sent_lacks_words() -> None:
    schemas = input_schemas(LIMITS)
    named = {f"{name}.{field}" for name, s in schemas.items() for field in s.get("properties", ())}
    assert named | set(schemas) == set(WORDS) - {"JobSpec.webhook_url"}


def test_no_pattern_is_python_s_alone() -> None:
    assert [pattern for pattern in all_of(DOCUMENT, "pattern") if r"\z" in pattern] == []


def test_no_type_of_a_field_has_the_name_of_a_component() -> None:
    """Generated clients call the type of Batch.status BatchStatus: one of the two is lost."""
    named = {
        f"{name}{field.title().replace('_', '')}"
        for name, schema in SCHEMAS.items()
        for field, kind in schema.get("properties", {}).items()
        if {"enum", "properties"} & set(kind)
    }
    assert named & set(SCHEMAS) == set()


def test_what_is_chosen_from_in_several_answers_is_one_type() -> None:
    named = [tuple(schema["enum"]) for schema in SCHEMAS.values() if "enum" in schema]
    answers = [schema for name, schema in SCHEMAS.items() if name not in input_schemas(LIMITS)]
    unnamed = [tuple(each) for schema in answers for each in all_of([*schema.values()], "enum")]
    assert len(unnamed) == len(set(unnamed))
    assert not set(unnamed) & set(named)


def test_what_may_be_left_out_of_a_query_or_form_has_no_default() -> None:
    """Generated clients send it, also beside what it must not stand beside."""
    for name in ("submitJob", "appendImages", "render", "uploadBatch", "submitOneImage"):
        forms = OPERATIONS[name]["requestBody"]["content"].get("multipart/form-data", {})
        assert [*all_of(OPERATIONS[name]["parameters"], "default"), *all_of(forms, "default")] == []


def test_a_document_among_other_bodies_is_a_record_to_generated_clients() -> None:
    """They cannot tell another body from it where alternatives leave it without a type."""
    for operation in OPERATIONS.values():
        bodies = operation.get("requestBody", {"content": {}})["content"]
        if len(bodies) > 1 and "application/json" in bodies:
            document = bodies["application/json"]["schema"]
            assert not {"anyOf", "oneOf"} & set(DESCRIPTION.resolve(document))


def test_a_problem_is_an_integer_and_a_code_to_generated_clients() -> None:
    """They cannot join a const with an integer, and drop the answer."""
    for answer in DOCUMENT["components"]["responses"].values():
        problem, narrowed = answer["content"]["application/problem+json"]["schema"]["allOf"]
        assert problem == {"$ref": "#/components/schemas/Problem"}
        assert narrowed["properties"]["status"]["type"] == "integer"
        assert [*all_of(narrowed, "const")] == []


def test_no_component_is_left_over() -> None:
    used = {ref.rpartition("/")[2] for ref in all_of(DOCUMENT, "$ref")}
    streamed = {"JobEvent", "ServerEvent", "BatchMessage"}  # which OpenAPI 3.1 cannot point at
    components = DOCUMENT["components"]
    assert set(components["schemas"]) - used - streamed == set()
    assert set(components["responses"]) - used == set()
    assert set(components["headers"]) - used == set()


def test_the_servers_own_limits_are_told() -> None:
    narrow = LIMITS.model_copy(update={"max_images_per_job": 7, "max_image_bytes": 9})
    document = build_document(narrow)
    schemas = document["components"]["schemas"]
    assert schemas["JobSpec"]["properties"]["images"]["maxItems"] == 7
    assert schemas["BatchSpec"]["properties"]["images"]["maxItems"] == 7
    batch = document["paths"]["/api/v1/batch"]["post"]["requestBody"]
    assert batch["description"] == "At most 7 images, each of at most 9 bytes."


def test_a_document_can_be_written_as_json() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
