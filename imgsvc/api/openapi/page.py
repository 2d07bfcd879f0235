"""The document as a page: no script, and nothing that is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from imgsvc.api.openapi.markup import Html, element, join, phrase, prose, table
from imgsvc.api.openapi.samples import curl_commands
from imgsvc.api.openapi.types import describe_fields, describe_type, schema_link
from imgsvc.api.openapi.vocabulary import Schema

_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Of the page: nothing is run, and nothing is loaded."""

Chapter = tuple[Schema, list[tuple[str, str, Schema]]]
"""A tag, and the method, path and document of each of its operations."""


def render_page(document: Schema, base: str) -> str:
    """base: what addresses begin with, as readers of the page can ask for them."""
    chapters = [*_chapters(document)]
    schemas = document["components"]["schemas"]
    body = join(
        _contents(chapters, schemas),
        element("main", _opening(document, base), *(_chapter(c, document, base) for c in chapters),
                _messages(document), _schemas(schemas)),
    )  # fmt: skip
    head = join(
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        Html('<link rel="icon" href="data:,">'),
        element("title", f"{document['info']['title']} API {document['info']['version']}"),
        element("style", Html(_STYLE)),
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _chapters(document: Schema) -> Iterator[Chapter]:
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    for tag in document["tags"]:
        yield tag, [each for each in operations if tag["name"] in each[2]["tags"]]


def _anchor(name: str) -> str:
    """Of a chapter; an operation may be called the same."""
    return "chapter-" + "".join(c if c.isalnum() else "-" for c in name.lower())


def _contents(chapters: list[Chapter], schemas: Schema) -> Html:
    """Operations by chapter, then schemas."""
    parts = [
        _part(tag["name"], _anchor(tag["name"]), [_entry(*each) for each in operations])
        for tag, operations in chapters
    ]
    parts.append(_part("Webhook messages", "chapter-messages", []))
    parts.append(
        _part("Schemas", "chapter-schemas", [schema_link(name) for name in sorted(schemas)])
    )
    return element("nav", element("ul", *parts), aria_label="Contents")


def _part(title: str, anchor: str, entries: list[Html]) -> Html:
    link = element("a", title, href=f"#{anchor}")
    return element("li", link, element("ul", *(element("li", entry) for entry in entries)))


def _entry(method: str, path: str, operation: Schema) -> Html:
    name = join(_badge(method), " ", element("span", path))
    return element("a", name, href=f"#{operation['operationId']}", title=operation["summary"])


def _badge(method: str) -> Html:
    return element("b", method.upper(), class_=f"method {method}")


def _opening(document: Schema, base: str) -> Html:
    info = document["info"]
    link = element("a", "openapi.json", href="openapi.json")
    return element(
        "header",
        element("h1", info["title"], " ", element("small", info["version"])),
        prose(info["description"]),
        element("p", "Here: ", element("code", base), ". For programs: ", link, "."),
    )


def _chapter(chapter: Chapter, document: Schema, base: str) -> Html:
    tag, operations = chapter
    return element(
        "section",
        element("h2", tag["name"], id=_anchor(tag["name"])),
        element("p", phrase(tag["description"])),
        *(_operation(*each, document, base) for each in operations),
    )


def _operation(method: str, path: str, operation: Schema, document: Schema, base: str) -> Html:
    address = join(_badge(method), " ", element("code", path))
    samples = curl_commands(method, path, operation, base)
    return element(
        "article",
        element("h3", element("a", address, href=f"#{operation['operationId']}")),
        element("p", operation["summary"], class_="summary"),
        prose(operation["description"]) if "description" in operation else "",
        *(_sample(kind, command) for kind, command in samples),
        _parameters(operation),
        _request(operation),
        _answers(operation, document),
        id=operation["operationId"],
    )


def _sample(kind: str, command: str) -> Html:
    label = element("figcaption", kind) if kind else ""
    return element("figure", label, element("pre", element("code", command)))


def _parameters(operation: Schema) -> Html | str:
    rows = []
    for parameter in operation["parameters"]:
        if parameter["name"] == "X-Request-ID":  # the same everywhere, and told of once
            continue
        schema = parameter.get("schema") or parameter["content"]["application/json"]["schema"]
        mark = element("span", " *", class_="required", title="required")
        name = join(element("code", parameter["name"]), mark if parameter.get("required") else "")
        rows.append([
            name, parameter["in"], describe_type(schema), phrase(parameter["description"])
        ])  # fmt: skip
    if not rows:
        return ""
    return join(element("h4", "Parameters"), table(["Name", "In", "Kind", "What it is"], rows))


def _request(operation: Schema) -> Html | str:
    body = operation.get("requestBody")
    if body is None:
        return ""
    kinds = []
    for media_type, content in body["content"].items():
        fields = [*describe_fields(content["schema"])]
        shown = element("p", element("code", media_type), ": ", describe_type(content["schema"]))
        kinds.append(join(shown, table(["Field", "Kind", "What it is"], fields) if fields else ""))
    return join(element("h4", "Body"), prose(body.get("description", "")), *kinds)


def _answers(operation: Schema, document: Schema) -> Html:
    rows = [
        [element("code", status), *_answer(answer, document)]
        for status, answer in operation["responses"].items()
    ]
    return join(element("h4", "Answers"), table(["Status", "What it means", "What it holds"], rows))


def _answer(answer: Schema, document: Schema) -> tuple[Html, Html]:
    if "$ref" in answer:
        name = answer["$ref"].rpartition("/")[2]
        problem = document["components"]["responses"][name]
        codes = join(*(element("code", code) for code in name.split("-")), by=" ")
        return phrase(problem["description"]), join(schema_link("Problem"), ": ", codes)
    held = [
        join(element("code", kind), ": ", describe_type(content["schema"]))
        for kind, content in answer.get("content", {}).items()
    ]
    names = [name for name in answer.get("headers", ()) if name != "X-Request-ID"]
    headers = join("headers ", *(element("code", name) for name in names), by=" ")
    parts = [*held, *([headers] if names else [])]
    return phrase(answer["description"]), join(*(element("div", part) for part in parts))


def _messages(document: Schema) -> Html:
    """What webhooks are sent."""
    rows = [
        [
            element("code", name),
            hook["post"]["summary"],
            describe_type(hook["post"]["requestBody"]["content"]["application/json"]["schema"]),
        ]
        for name, hook in document["webhooks"].items()
    ]
    return element(
        "section",
        element("h2", "Webhook messages", id="chapter-messages"),
        prose("Posted to the webhook of a job, signed after Standard Webhooks, and tried again "
              "for days. 410 switches the receiver off."),
        table(["Event", "When", "Body"], rows),
    )  # fmt: skip


def _schemas(schemas: Schema) -> Html:
    return element(
        "section",
        element("h2", "Schemas", id="chapter-schemas"),
        prose("A star marks what is always there."),
        *(_schema(name, schemas[name]) for name in sorted(schemas)),
    )


def _schema(name: str, schema: Schema) -> Html:
    fields = [*describe_fields(schema)]
    examples = [json.dumps(each, indent=2) for each in schema.get("examples", ())]
    branches = [each for each in schema.get("oneOf", ()) if "properties" in each and not fields]
    return element(
        "article",
        element("h3", element("a", name, href=f"#schema-{name}")),
        prose(schema.get("description", "")),
        table(["Field", "Kind", "What it is"], fields)
        if fields
        else "" if branches else element("p", describe_type(schema)),
        *(table(["Field", "Kind", "What it is"], [*describe_fields(each)]) for each in branches),
        *(_sample("Example", each) for each in examples),
        id=f"schema-{name}",
    )  # fmt: skip
