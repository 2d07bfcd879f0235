"""What is told of a product list that changes meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from imgsvc.api.dialects import product_csv
from imgsvc.domain.job import Job
from imgsvc.service.products import Product, iter_products
from imgsvc.store.store import Store
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_request_with_a_product_that_has_begun_is_not_pending(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server.http.post("/api/v1/jobs", json={"open": True}) as answer:
        links = (await answer.json())["links"]

    async def iter_later(store: Store, job: Job) -> AsyncIterator[Product]:
        await server.http.post(links["images"], data=form_of(("a.jpg", make_jpeg(20, 20))))
        await server.http.post(f"{links['self']}/close")
        async with server.http.ws_connect(links["events"]) as socket:
            async for _ in socket:
                pass
        async for product in iter_products(store, job):
            yield product

    monkeypatch.setattr(product_csv, "iter_products", iter_later)
    request = await get_json(server, f"/api/status/{links['self'].rpartition('/')[2]}")
    assert (request["status"], request["products"][0]["status"]) == ("PROCESSING", "COMPLETED")
