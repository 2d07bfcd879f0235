"""Commands to copy: an operation asked for with curl."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from urllib.parse import quote, urlencode

from imgsvc.api.openapi.vocabulary import Schema

_FILES = {"text/csv": "products.csv"}
_PHOTO = "beach.jpg"
_SENT_AS = {"image/*": "image/jpeg"}
_SAVED = frozenset({"application/zip", "text/csv"})


def curl_commands(method: str, path: str, operation: Schema, base: str) -> list[tuple[str, str]]:
    """What is sent, and the command that sends it: one for each kind of body. base: what the
    address begins with.
    """
    words = ["curl", *_how_answered(operation)]
    if method not in {"get", "post"} or (method == "post" and "requestBody" not in operation):
        words += ["-X", method.upper()]
    url = base + _fill(path, operation)
    if "101" in operation["responses"] and "200" not in operation["responses"]:
        return []  # curl has no way to show a WebSocket
    body = operation.get("requestBody")
    if body is None:
        return [("", _join([*words, url]))]
    found = [
        (kind, _join([*words, *_sending(kind, content), url]))
        for kind, content in body["content"].items()
    ]
    return found if body["required"] else [("", _join([*words, "-X", "POST", url])), *found]


def _join(words: list[str]) -> str:
    return shlex.join(words)


def _how_answered(operation: Schema) -> Iterator[str]:
    kinds = [kind for each in operation["responses"].values() for kind in each.get("content", ())]
    if "text/event-stream" in kinds:
        yield from ("-N", "-H", "Accept: text/event-stream")
    if any(kind.startswith("image/") or kind.partition(";")[0] in _SAVED for kind in kinds):
        yield "-OJ"


def _fill(path: str, operation: Schema) -> str:
    """The path with its examples, and the query with those that it has."""
    query = {}
    for parameter in operation["parameters"]:
        if "example" not in parameter:
            continue
        text = str(parameter["example"])
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(text, safe=""))
        else:
            query[parameter["name"]] = text
    return f"{path}?{urlencode(query)}" if query else path


def _sending(kind: str, content: Schema) -> Iterator[str]:
    if kind == "multipart/form-data":
        yield from _filling_in(content["schema"])
    elif "example" in content and kind == "application/json":
        yield from ("-H", f"Content-Type: {kind}", "-d", json.dumps(content["example"]))
    else:
        yield from ("-H", f"Content-Type: {_SENT_AS.get(kind, kind)}")
        yield from ("--data-binary", f"@{_FILES.get(kind, _PHOTO)}")


def _filling_in(form: Schema) -> Iterator[str]:
    """What a form needs, and what has an example."""
    for name, field in form["properties"].items():
        file = field.get("items", field)
        if "contentMediaType" in file:
            yield from ("-F", f"{name}=@{_FILES.get(file['contentMediaType'], _PHOTO)}")
        elif name in form["required"]:
            yield from ("-F", f"{name}={field['enum'][0]}")
        elif "examples" in field:
            yield from ("-F", f"{name}={field['examples'][0]}")
