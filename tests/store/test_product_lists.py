"""Product lists in the database: beside the images of their job, and gone with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from imgsvc.domain.product_list import ProductList, ProductRow
from imgsvc.store.store import Store
from tests.store.builders import create, new_image, new_images, new_job

TABLE = ProductList(("S. No.", "Größe"), ";", with_bom=True)


def rows_of(*counts: int) -> list[ProductRow]:
    starts = [sum(counts[:n]) for n in range(len(counts))]
    return [
        ProductRow(start, count, (str(start), "ä\n;\t"))
        for start, count in zip(starts, counts, strict=True)
    ]


async def kept(store: Store, job_id: str, batch: int = 2) -> list[ProductRow]:
    return [row async for row in store.iter_product_rows(job_id, batch=batch)]


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
async def test_a_list_comes_back_as_it_was_given_in_parts(store: Store, batch: int) -> None:
    first, second, third = rows_of(2, 1, 1)
    new = new_job(open=True, product_list=TABLE)
    job = await store.create_job(new, new_images(2), 1_000, rows=[first])
    await store.append_images(job.id, new_images(2), 2_000, rows=[second, third])
    assert await store.product_list(job.id) == TABLE
    assert await kept(store, job.id, batch) == [first, second, third]


async def test_a_job_that_came_otherwise_has_none(store: Store) -> None:
    job = await create(store, 1)
    assert await store.product_list(job.id) is None
    assert await kept(store, job.id) == []


async def test_a_list_goes_with_its_job(store: Store, database: Path) -> None:
    rows = rows_of(1, 1)
    new = new_job(product_list=TABLE)
    job = await store.create_job(new, [new_image(), new_image()], 1_000, rows=rows)
    await store.delete_job(job.id)
    with closing(sqlite3.connect(database)) as connection:
        for table in ("product_lists", "product_rows"):
            (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
            assert count == 0
