"""The Idempotency-Key header: the same request again gets the first one's answer again."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from imgsvc.api.context import CONTEXT
from imgsvc.api.forms import ListReceiver
from imgsvc.errors import MalformedRequest
from imgsvc.store.keys import KnownKey

KEY_PATTERN = r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?"

TakeIn = Callable[[web.Request, ListReceiver], Awaitable[None]]
Perform = Callable[[str | None], Awaitable[web.Response]]
Recover = Callable[[KnownKey], Awaitable[web.Response]]


async def answer_once(
    request: web.Request, take_in: TakeIn, perform: Perform, recover: Recover
) -> web.Response:
    """Carry out a request that brings images, once for each key.

    take_in: reads what it brings, to compare a repeated one.
    perform: does it, given the key to commit with it (None without one).
    recover: the answer to a request that was committed and never answered.
    Raises IdempotencyInProgress, IdempotencyMismatch, MalformedRequest.
    """
    key = _read_key(request)
    if key is None:
        return await perform(None)
    idempotency = request.app[CONTEXT].idempotency
    with idempotency.hold(key):
        known = await idempotency.find(key)
        if known is None:
            response = await perform(key)
            await idempotency.remember(key, _take_down(response))
            return response
        async with idempotency.recite() as recital:
            recital.fingerprint.add(request.method, request.path)
            await take_in(request, recital)
            recital.check_same(known)
        response = _read_out(known.answer) if known.answer else await recover(known)
        response.headers["Idempotency-Replayed"] = "true"
        return response


def _read_key(request: web.Request) -> str | None:
    keys = request.headers.getall("Idempotency-Key", [])
    if not keys:
        return None
    if len(keys) > 1 or not re.fullmatch(KEY_PATTERN, keys[0]):
        raise MalformedRequest("Idempotency-Key must be one to 255 visible ASCII characters.")
    return keys[0]


def _take_down(response: web.Response) -> dict[str, Any]:
    kept = ("Location", "Preference-Applied")
    headers = {name: response.headers[name] for name in kept if name in response.headers}
    return {"status": response.status, "headers": headers, "body": response.text}


def _read_out(answer: dict[str, Any]) -> web.Response:
    return web.Response(
        status=answer["status"],
        headers=answer["headers"],
        text=answer["body"],
        content_type="application/json",
    )
