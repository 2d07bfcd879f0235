"""Messages to the receivers of webhooks over HTTP: what became of them, and once more."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from imgsvc.api.context import CONTEXT
from imgsvc.api.pages import PageSize, check_query, link_next, read_limit
from imgsvc.domain.times import rfc3339
from imgsvc.domain.webhook import Delivery
from imgsvc.store.cursors import decode_id_cursor, encode_cursor

routes = web.RouteTableDef()

DELIVERIES_AT_ONCE = PageSize(most=500, default=50)


@routes.get("/api/v1/jobs/{id}/deliveries")
async def list_deliveries(request: web.Request) -> web.Response:
    query = request.query
    check_query(query, "limit", "cursor")
    cursor = query.get("cursor")
    deliveries, after = await request.app[CONTEXT].store.deliveries(
        request.match_info["id"],
        limit=read_limit(query, DELIVERIES_AT_ONCE),
        after=decode_id_cursor(cursor) if cursor else None,
    )
    next_cursor = None if after is None else encode_cursor(after)
    response = web.json_response(
        {"items": [_document(delivery) for delivery in deliveries], "next_cursor": next_cursor}
    )
    if next_cursor is not None:
        response.headers["Link"] = link_next(request, next_cursor)
    return response


@routes.post("/api/v1/jobs/{id}/deliveries/{delivery_id}/redeliver")
async def redeliver(request: web.Request) -> web.Response:
    check_query(request.query)
    delivery = await request.app[CONTEXT].redeliverer.redeliver(
        request.match_info["id"], request.match_info["delivery_id"]
    )
    return web.json_response(_document(delivery), status=202)


def _document(delivery: Delivery) -> dict[str, Any]:
    """Neither the secret nor the whole URL, which may hold one, is shown."""
    return {
        "id": delivery.id,
        "job_id": delivery.job_id,
        "event": delivery.event,
        "receiver": delivery.receiver,
        "status": delivery.state,
        "attempts": delivery.attempts,
        "next_attempt_at": rfc3339(delivery.next_at),
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "created_at": rfc3339(delivery.created_at),
        "delivered_at": rfc3339(delivery.delivered_at),
    }
