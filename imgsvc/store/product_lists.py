"""Product lists: the tables that images came in, beside the images."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from imgsvc.domain.product_list import ProductList, ProductRow
from imgsvc.store.rows import dump_json
from imgsvc.store.sql import PRODUCT_LISTS
from imgsvc.store.writer import Transaction


async def keep_list(tx: Transaction, job_id: str, table: ProductList) -> None:
    """To be called in the transaction that makes the job."""
    await tx.fetch(
        PRODUCT_LISTS["insert_product_list"],
        {
            "job_id": job_id,
            "header": dump_json(table.header),
            "delimiter": table.delimiter,
            "with_bom": table.with_bom,
        },
    )


async def keep_rows(tx: Transaction, job_id: str, rows: Sequence[ProductRow]) -> None:
    """To be called in the transaction that adds the first of their images."""
    if rows:
        parameters = await tx.compute(_row_parameters, job_id, rows)
        await tx.run_many(PRODUCT_LISTS["insert_product_row"], parameters)


def _row_parameters(job_id: str, rows: Sequence[ProductRow]) -> list[dict[str, Any]]:
    return [
        {
            "job_id": job_id,
            "first_idx": row.first_index,
            "image_count": row.image_count,
            "cells": dump_json(row.cells),
        }
        for row in rows
    ]


def list_from_row(row: sqlite3.Row) -> ProductList:
    header = tuple(json.loads(row["header"]))
    return ProductList(header, row["delimiter"], bool(row["with_bom"]))


def row_from_row(row: sqlite3.Row) -> ProductRow:
    return ProductRow(row["first_idx"], row["image_count"], tuple(json.loads(row["cells"])))
