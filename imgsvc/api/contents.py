"""Contents that stand in memory: answered whole, or with 304 to who has them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Content:
    """Text in UTF-8. etag: by the body alone, since an installer may give all files one time."""

    body: bytes
    media_type: str
    headers: Mapping[str, str]
    etag: str

    @classmethod
    def of(cls, body: bytes, media_type: str, headers: Mapping[str, str]) -> Content:
        return cls(body, media_type, headers, hashlib.sha256(body).hexdigest()[:32])

    def answer(self, request: web.Request) -> web.Response:
        """Browsers may keep it, and ask each time whether it is still this one."""
        headers = {
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            **self.headers,
        }
        if any(known.value in {self.etag, "*"} for known in request.if_none_match or ()):
            response = web.Response(status=304, headers=headers)
        else:
            response = web.Response(
                body=self.body, content_type=self.media_type, charset="utf-8", headers=headers
            )
        response.etag = self.etag
        return response
