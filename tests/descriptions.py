"""Answers held against the document that describes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

import aiohttp
from jsonschema_rs import Draft202012, Draft202012Validator, Registry, ValidationError

from imgsvc.api.openapi.document import build_document
from imgsvc.config import LimitSettings

Document = dict[str, Any]
JSON = "application/json"
PROBLEM = "application/problem+json"
ANY_PROBLEM = {"$ref": "#/components/schemas/Problem"}
EVERYWHERE = frozenset({400, 403, 404, 405, 421, 429})
"""How a request is refused whose address, or method, is not served at all."""

PAGE_FILES = "/web/"
"""What the web page is made of is nobody else's, and is not described."""

USUAL = {
    "content-type", "content-length", "transfer-encoding", "connection", "date", "server",
    "cache-control", "x-content-type-options", "content-security-policy", "referrer-policy",
    "upgrade", "sec-websocket-accept", "vary", "cross-origin-opener-policy",
    "cross-origin-resource-policy",
}  # fmt: skip
"""Headers that need no words, or say of a page what its browser needs to know."""

_URI = "urn:document"


class Undescribed(AssertionError):
    """An answer that the document does not have, or has otherwise."""


class Description:
    def __init__(self, document: Document) -> None:
        self.document = document
        self._registry = Registry([(_URI, document)], draft=Draft202012)
        self._validators: dict[str, Draft202012Validator] = {}

    @cached_property
    def _templates(self) -> list[tuple[re.Pattern[str], Document]]:
        """Those with fewer blanks first: `/batch/{id}` does not stand for `/batch/x/images`."""
        paths = sorted(self.document["paths"], key=lambda path: path.count("{"))
        return [
            (
                re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))),
                self.document["paths"][path],
            )
            for path in paths
        ]

    def operation(self, method: str, path: str) -> Document | None:
        method = "get" if method == "HEAD" else method.lower()
        found = [methods for pattern, methods in self._templates if pattern.fullmatch(path)]
        return next((methods[method] for methods in found if method in methods), None)

    def answer(self, method: str, path: str, status: int) -> Document | None:
        """None for what is refused before an operation is known."""
        if path.startswith(PAGE_FILES):
            return None
        operation = self.operation(method, path)
        if operation is None:
            if status not in EVERYWHERE:
                raise Undescribed(f"{method} {path} is described nowhere, and answers {status}")
            return None
        answer = operation["responses"].get(str(status))
        if answer is None:
            raise Undescribed(f"{operation['operationId']} answers {status}")
        return self.resolve(answer)

    def resolve(self, found: Document) -> Document:
        if "$ref" not in found:
            return found
        _, _, kind, name = found["$ref"].split("/")
        resolved: Document = self.document["components"][kind][name]
        return resolved

    def check(self, schema: Document, value: Any) -> None:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            based = json.loads(key.replace('"#/', f'"{_URI}#/'))
            self._validators[key] = Draft202012Validator(
                based, registry=self._registry, validate_formats=True
            )
        try:
            self._validators[key].validate(value)
        except ValidationError as exc:
            place = "".join(f"/{step}" for step in exc.instance_path)
            raise Undescribed(f"{place or '/'}: {exc.message[:500]}") from exc

    def check_head(self, method: str, path: str, status: int, headers: Mapping[str, str]) -> None:
        """Its status, its headers one by one, and the media type of its body."""
        answer = self.answer(method, path, status)
        if answer is None:
            return
        kind = headers.get("Content-Type", "").partition(";")[0]
        kinds = {each.partition(";")[0] for each in answer.get("content", {})}
        if kinds and kind not in kinds:
            raise Undescribed(f"{kind} is none of {sorted(kinds)}")
        told = {name: self.resolve(header) for name, header in answer["headers"].items()}
        given = {name.lower(): text for name, text in headers.items()}
        for name, header in told.items():
            text = given.get(name.lower())
            if text is not None:
                is_number = header["schema"]["type"] == "integer" and text.isdecimal()
                self.check(header["schema"], int(text) if is_number else text)
            elif header["required"]:
                raise Undescribed(f"{method} {path} gives no {name}")
        if untold := given.keys() - {name.lower() for name in told} - USUAL:
            raise Undescribed(f"{method} {path} gives {sorted(untold)}")

    def check_body(self, method: str, path: str, status: int, kind: str, body: bytes) -> None:
        if not body or kind not in {JSON, PROBLEM}:
            return
        answer = self.answer(method, path, status)
        schema = answer["content"][kind]["schema"] if answer else ANY_PROBLEM
        try:
            self.check(schema, json.loads(body))
        except Undescribed as exc:
            raise Undescribed(f"{method} {path} answers {status} with {exc}") from exc


@cache
def describe(limits: LimitSettings) -> Description:
    return Description(build_document(limits))


def checked_response(limits: LimitSettings) -> type[aiohttp.ClientResponse]:
    """A class of responses that fail when they are not as the server's document has them."""
    description = describe(limits)

    class CheckedResponse(aiohttp.ClientResponse):
        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            await super().start(connection)
            description.check_head(self.method, self.url.raw_path, self.status, self.headers)
            return self

        async def read(self) -> bytes:
            is_new = self._body is None
            body = await super().read()
            if is_new:
                path = self.url.raw_path
                description.check_body(self.method, path, self.status, self.content_type, body)
            return body

    return CheckedResponse
