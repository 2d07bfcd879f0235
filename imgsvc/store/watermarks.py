"""Watermarks: names, the files that they mean, and the jobs that need a file."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from imgsvc.domain.watermark import KeptWatermark
from imgsvc.errors import InvalidRecipe, InvalidRequest
from imgsvc.recipes.watermarks import pinned_watermarks
from imgsvc.store.rows import dump_json
from imgsvc.store.sql import WATERMARKS
from imgsvc.store.writer import Transaction


async def save_watermark(tx: Transaction, watermark: KeptWatermark, most: int) -> bool:
    """Let a name mean a file, which is on stable storage; whether the name is new.

    most: how many names there may be. Raises InvalidRequest when a new one would be one too
    many.
    """
    parameters = {
        "name": watermark.name,
        "sha256": watermark.sha256,
        "width": watermark.width,
        "height": watermark.height,
        "size_bytes": watermark.size_bytes,
        "updated_at": watermark.updated_at,
    }
    await tx.fetch(WATERMARKS["keep_watermark_file"], parameters)
    if await tx.fetch(WATERMARKS["replace_watermark"], parameters):
        return False
    if await tx.fetch(WATERMARKS["insert_watermark"], {**parameters, "most": most}):
        return True
    raise InvalidRequest(f"There are {most} watermarks, and no more are kept: delete one first.")


async def delete_watermark(tx: Transaction, name: str) -> bool:
    """False when there was none."""
    return bool(await tx.fetch(WATERMARKS["delete_watermark"], {"name": name}))


async def pin_watermarks(tx: Transaction, job_id: str, recipe: str) -> None:
    """Hold on to the files that the job's recipe needs, in the transaction that stores the job.

    Raises InvalidRecipe when one has gone since the recipe was judged.
    """
    wanted = pinned_watermarks(recipe)
    if not wanted:
        return
    parameters = {"sha256s": dump_json(wanted)}
    known = await tx.fetch(WATERMARKS["known_watermark_files"], parameters)
    if len(known) < len(wanted):
        raise InvalidRecipe("A watermark of the recipe was deleted at this moment.")
    await tx.run_many(
        WATERMARKS["pin_watermark"], [{"job_id": job_id, "sha256": sha256} for sha256 in wanted]
    )


async def forget_watermark_files(tx: Transaction, kept: Collection[str]) -> list[str]:
    """Contents (sha256) that nobody needs any more; their files are the caller's to remove.

    kept: those that a request may be about to need.
    """
    parameters = {"kept": dump_json(sorted(kept))}
    rows = await tx.fetch(WATERMARKS["forget_watermark_files"], parameters)
    return [row["sha256"] for row in rows]


def watermark_from_row(row: sqlite3.Row) -> KeptWatermark:
    return KeptWatermark(
        row["name"],
        row["sha256"],
        row["width"],
        row["height"],
        row["size_bytes"],
        row["updated_at"],
    )
