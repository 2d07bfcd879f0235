"""A client of other designs: plain urllib, as their users would write it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from imgsvc.config import LimitSettings
from tests.descriptions import describe


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class UrllibClient:
    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **headers: str) -> Answer:
        """path: absolute, or a whole URL as an answer gave it."""
        return self._send("GET", path, None, headers)

    def post_json(self, path: str, document: object, **headers: str) -> Answer:
        body = json.dumps(document).encode()
        return self._send("POST", path, body, {"Content-Type": "application/json", **headers})

    def post(self, path: str) -> Answer:
        return self._send("POST", path, b"", {})

    def delete(self, path: str) -> Answer:
        return self._send("DELETE", path, None, {})

    def post_form(
        self,
        path: str,
        files: Sequence[tuple[str, str, bytes]],
        fields: Mapping[str, str],
        **headers: str,
    ) -> Answer:
        """files: (field, filename, content)."""
        boundary = "----a-form-boundary"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
            for name, value in fields.items()
        ]
        parts += [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; '
            f'filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'.encode()
            + content
            for field, name, content in files
        ]
        body = b"\r\n".join(parts) + f"\r\n--{boundary}--\r\n".encode()
        media_type = f"multipart/form-data; boundary={boundary}"
        return self._send("POST", path, body, {"Content-Type": media_type, **headers})

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        url = path if path.startswith("http") else self.url + path
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, body, names, method=method)  # noqa: S310 - our own
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own server
                found = Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as exc:
            with exc:
                found = Answer(exc.code, exc.headers, exc.read())
        _check(method, urlsplit(url).path, found)
        return found


def _check(method: str, path: str, answer: Answer) -> None:
    """Answers are as the server describes them."""
    description, headers = describe(LimitSettings()), dict(answer.headers.items())
    description.check_head(method, path, answer.status, headers)
    kind = answer.headers.get_content_type()
    description.check_body(method, path, answer.status, kind, answer.body)
