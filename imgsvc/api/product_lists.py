"""Product lists over HTTP: the body of a submit, or a part of a form."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

from aiohttp import web

from imgsvc.api.bodies import read_body
from imgsvc.api.forms import ListReceiver
from imgsvc.api.pages import check_query
from imgsvc.blobs.stage import StagedFile
from imgsvc.domain.image import NewImage
from imgsvc.domain.input_names import name_of_url
from imgsvc.fetching.url_images import url_image
from imgsvc.intake.product_list import MAX_LIST_BYTES, ListedProduct, ListReader, stage_list
from imgsvc.intake.spec import QUERY_FIELDS, parse_query

LIST_TYPE = "text/csv"

_BATCH_ROWS = 2000
_BATCH_CHARS = 1 << 20
"""What is read at a time, at most: each time a thread is waited for."""

_FEW = 200
"""Products that are added before others have their turn."""


async def receive_list(request: web.Request, receiver: ListReceiver) -> None:
    """Take in a body that is a product list, with everything else in the query."""
    check_query(request.query, *QUERY_FIELDS)
    await receiver.describe(parse_query(dict(request.query)))
    file, sha256 = await stage_list(read_body(request, MAX_LIST_BYTES), receiver.stage)
    receiver.fingerprint.add("list", sha256, request.charset)
    await add_list(file, request.charset, receiver)


async def add_list(file: StagedFile, charset: str | None, receiver: ListReceiver) -> None:
    """Take in the products of a staged file, which is removed.

    charset: of its Content-Type; None when it had none. Raises InvalidCsv, TooManyImages;
    nothing has been added then.
    """
    most = receiver.limits.max_images_per_job
    reader = ListReader(file.path, charset, max_images=most)
    receiver.begin_list(await asyncio.to_thread(reader.check))
    with closing(reader.products()) as products:
        while batch := await asyncio.to_thread(_make_images, products):
            for number, (product, images) in enumerate(batch):
                if number % _FEW == 0:
                    await asyncio.sleep(0)
                await receiver.add_product(product.cells, images)
    await file.abort()


def _make_images(
    products: Iterator[ListedProduct],
) -> list[tuple[ListedProduct, list[NewImage]]]:
    """The next ones, none after the last. Images are called as their downloads would be."""
    batch = []
    chars = 0
    for product in islice(products, _BATCH_ROWS):
        images = [url_image(url, name_of_url(url)) for url in product.urls]
        batch.append((product, images))
        chars += sum(map(len, product.cells))
        if chars > _BATCH_CHARS:
            break
    return batch
