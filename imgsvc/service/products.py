"""A job as the products that it is of: rows of its product list, with their images."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.errors import NotFound
from imgsvc.store.store import Store


@dataclass(frozen=True, slots=True)
class Product:
    """cells: as sent; None for an image that came otherwise, which is one by itself.

    images: all of them, in the order of their URLs.
    """

    cells: tuple[str, ...] | None
    images: tuple[Image, ...]


async def iter_products(store: Store, job: Job) -> AsyncIterator[Product]:
    """Every product of a job, in order, with one row and its images in memory.

    Raises NotFound when the job goes away before its last product.
    """
    rows = store.iter_product_rows(job.id)
    row = await anext(rows, None)
    gathered: list[Image] = []
    count = 0
    async for image in store.iter_images(job.id):
        count += 1
        if row is None or image.index < row.first_index:
            yield Product(None, (image,))
            continue
        gathered.append(image)
        if len(gathered) == row.image_count:
            yield Product(row.cells, tuple(gathered))
            row, gathered = await anext(rows, None), []
    if count < job.total:
        raise NotFound("The job was deleted.")
