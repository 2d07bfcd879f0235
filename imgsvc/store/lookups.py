"""The reads. A hidden job and its images are not there, unless asked for by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.preset import Preset
from imgsvc.domain.product_list import ProductList, ProductRow
from imgsvc.domain.states import ImageState, JobState, Priority
from imgsvc.domain.watermark import KeptWatermark
from imgsvc.domain.webhook import Delivery, Webhook
from imgsvc.errors import NotFound
from imgsvc.net.guard import find_host
from imgsvc.store.announcements import load_end
from imgsvc.store.changes import no_such_job
from imgsvc.store.copies import ImageFiles, files_from_row
from imgsvc.store.deliveries import delivery_from_row, webhook_from_row
from imgsvc.store.exports import Export, export_from_row
from imgsvc.store.keys import KnownKey, key_from_row
from imgsvc.store.ledger import Pending
from imgsvc.store.presets import preset_from_row
from imgsvc.store.product_lists import list_from_row, row_from_row
from imgsvc.store.readers import Readers
from imgsvc.store.rows import dump_json, image_from_row, images_from_rows, job_from_row
from imgsvc.store.sql import (
    EXPORTS,
    FETCHES,
    IMAGES,
    JOBS,
    KEYS,
    PRESETS,
    PRODUCT_LISTS,
    WATERMARKS,
    WEBHOOKS,
)
from imgsvc.store.watermarks import watermark_from_row

_AFTER_EVERY_ID = "~"
"""Sorts after all ids: where a list that is newest first begins."""


class Lookups:
    """Pages give their items and what to continue after: None on the last one."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def job(self, job_id: str, *, hidden: bool = False) -> Job:
        """hidden: also find a job that is not visible yet. Raises NotFound."""
        rows = await self._readers.fetch(JOBS["job"], {"id": job_id, "hidden": hidden})
        if not rows:
            raise no_such_job()
        return job_from_row(rows[0])

    async def jobs(
        self,
        status: JobState | None = None,
        label: str | None = None,
        *,
        limit: int,
        after: str | None = None,
    ) -> tuple[list[Job], str | None]:
        """Newest first; `after` is a job's id."""
        name = "jobs_newest" + ("" if label is None else "_labelled")
        rows = await self._readers.fetch(
            JOBS[name if status is None else f"{name}_in_state"],
            {
                "state": status and status.value,
                "label": label,
                "after": _AFTER_EVERY_ID if after is None else after,
                "limit": limit + 1,
            },
        )
        jobs = [job_from_row(row) for row in rows[:limit]]
        return jobs, jobs[-1].id if len(rows) > limit else None

    async def image(self, job_id: str, index: int) -> Image:
        """Raises NotFound."""
        rows = await self._readers.fetch(IMAGES["image"], {"job_id": job_id, "idx": index})
        if not rows:
            raise NotFound("There is no such image.")
        return image_from_row(rows[0])

    async def image_by_id(self, image_id: str) -> Image:
        """Raises NotFound."""
        rows = await self._readers.fetch(IMAGES["image_by_id"], {"id": image_id})
        if not rows:
            raise NotFound("There is no such image.")
        return image_from_row(rows[0])

    async def images(
        self,
        job_id: str,
        status: ImageState | None = None,
        *,
        limit: int,
        after: int | None = None,
    ) -> tuple[list[Image], int | None]:
        """In index order; `after` is an index. Raises NotFound for the job."""
        rows = await self._readers.fetch(
            IMAGES["images_of_job" if status is None else "images_of_job_in_state"],
            {
                "job_id": job_id,
                "state": status and status.value,
                "after": -1 if after is None else after,
                "limit": limit + 1,
            },
        )
        if not rows:
            await self.job(job_id)
        images = await images_from_rows(rows[:limit])
        return images, images[-1].index if len(rows) > limit else None

    async def images_by_state(
        self, status: ImageState | None, *, limit: int, after: str | None = None
    ) -> tuple[list[Image], str | None]:
        """Across jobs, newest first; `after` is an image's id. status: None for all."""
        rows = await self._readers.fetch(
            IMAGES["images_newest" if status is None else "images_newest_in_state"],
            {
                "state": status and status.value,
                "after": _AFTER_EVERY_ID if after is None else after,
                "limit": limit + 1,
            },
        )
        images = await images_from_rows(rows[:limit])
        return images, images[-1].id if len(rows) > limit else None

    async def iter_images(
        self, job_id: str, status: ImageState | None = None, *, batch: int = 200
    ) -> AsyncIterator[Image]:
        """Every image in index order, `batch` at a time. Raises NotFound at the beginning
        when there is no such job; one deleted later just ends.
        """
        images, after = await self.images(job_id, status, limit=batch)
        while True:
            for image in images:
                yield image
            if after is None:
                return
            try:
                images, after = await self.images(job_id, status, limit=batch, after=after)
            except NotFound:
                return

    async def image_files(self, job_ids: Collection[str]) -> list[ImageFiles]:
        """What files each image of these jobs has, in no order; nothing for unknown ones."""
        parameters = {"job_ids": dump_json(list(job_ids))}
        rows = await self._readers.fetch(IMAGES["image_files"], parameters)
        return await asyncio.to_thread(lambda: list(map(files_from_row, rows)))

    async def reusable_images(
        self, sha256s: Collection[str], engine: str
    ) -> list[tuple[Image, str]]:
        """For these inputs, the newest image that each recipe has made; with the recipe.

        engine: what the reuse keys to look for begin with.
        """
        parameters = {"sha256s": dump_json(list(sha256s)), "engine": engine}
        rows = await self._readers.fetch(IMAGES["reusable_images"], parameters)
        return [(image_from_row(tuple(row)[:-1]), row["recipe"]) for row in rows]

    async def image_names(self, job_id: str) -> list[tuple[int, str]]:
        """Index and name of every image in index order; nothing for an unknown job."""
        rows = await self._readers.fetch(IMAGES["image_names"], {"job_id": job_id})
        return [(row["idx"], row["name"]) for row in rows]

    async def job_ids(self, ids: Collection[str]) -> set[str]:
        """Which of `ids` are jobs, hidden ones among them."""
        rows = await self._readers.fetch(JOBS["known_job_ids"], {"ids": dump_json(list(ids))})
        return {row["id"] for row in rows}

    async def job_totals(self, ids: Collection[str]) -> dict[str, int]:
        """How many images each of these jobs has, hidden ones among them; nothing for unknown
        ones.
        """
        rows = await self._readers.fetch(JOBS["job_totals"], {"ids": dump_json(list(ids))})
        return {row["id"]: row["total"] for row in rows}

    async def jobs_with_pending(self) -> list[str]:
        """Ids, oldest first, hidden ones among them."""
        rows = await self._readers.fetch(JOBS["jobs_with_pending"], {})
        return [row["id"] for row in rows]

    async def next_try_ms(self, job_id: str) -> int | None:
        """When the first of the job's delayed images may be tried again, in milliseconds
        since 1970; None when none is delayed.
        """
        rows = await self._readers.fetch(IMAGES["next_try"], {"job_id": job_id})
        not_before: int | None = rows[0]["not_before"]
        return not_before

    async def hosts_to_retry(
        self,
        job_id: str,
        *,
        codes: Collection[str] | None = None,
        indexes: Collection[int] | None = None,
    ) -> set[str]:
        """The hosts of these images' URLs, and those that they were last led to; only of images
        that a retry would fetch. codes, indexes: as in `retry_images`.
        """
        parameters = {
            "job_id": job_id,
            "codes": None if codes is None else dump_json(list(codes)),
            "indexes": None if indexes is None else dump_json(list(indexes)),
        }
        rows = await self._readers.fetch(FETCHES["hosts_to_retry"], parameters)
        led_to = {row["fetch_host"] for row in rows}
        # in a thread: ten thousand that are all different take long
        return led_to | await asyncio.to_thread(lambda: {find_host(row["url"]) for row in rows})

    async def hosts_to_fetch(self, priority: Priority, limit: int) -> list[str]:
        """Hosts that images of such jobs may be fetched from now, in their order."""
        parameters = {"rank": priority.rank, "limit": limit}
        rows = await self._readers.fetch(FETCHES["hosts_to_fetch"], parameters)
        return [row["host"] for row in rows]

    async def jobs_to_fetch(self, priority: Priority, after: str, limit: int) -> list[str]:
        """Jobs that images may be fetched of now, in the order of their ids, after one."""
        parameters = {"rank": priority.rank, "after": after, "limit": limit}
        rows = await self._readers.fetch(FETCHES["jobs_to_fetch"], parameters)
        return [row["job_id"] for row in rows]

    async def fetch_offers(
        self, priority: Priority, jobs: Mapping[str, str], busy: Collection[str], limit: int
    ) -> dict[str, list[str]]:
        """The hosts that each job may be given images from now, besides busy ones, in turn,
        `limit` at most.

        jobs: ids, each with the host that it had the last one from, "" for none.
        """
        asked = {(job_id, after) for job_id, last in jobs.items() for after in (last, "")}
        parameters = {
            "rank": priority.rank,
            "jobs": dump_json(sorted(asked)),
            "busy": dump_json(list(busy)),
            "limit": limit,
        }
        found: dict[tuple[str, str], list[str]] = {}
        for row in await self._readers.fetch(FETCHES["fetch_offers"], parameters):
            found.setdefault((row["job_id"], row["after"]), []).append(row["host"])
        offers: dict[str, list[str]] = {}
        for job_id, last in jobs.items():
            later = found.get((job_id, last), [])
            first = found.get((job_id, ""), [])
            offers[job_id] = [*later, *(host for host in first if host <= last)][:limit]
        return offers

    async def next_fetch_ms(self) -> int | None:
        """When the first image that is to be fetched later may be, in milliseconds since 1970;
        None when there is none.
        """
        rows = await self._readers.fetch(FETCHES["next_fetch"], {})
        fetch_at: int | None = rows[0]["fetch_at"]
        return fetch_at

    async def expired_jobs(self, now_ms: int, limit: int) -> list[str]:
        """Ids of jobs whose time is over, longest first."""
        parameters = {"now_ms": now_ms, "limit": limit}
        return [row["id"] for row in await self._readers.fetch(JOBS["expired_jobs"], parameters)]

    async def idle_open_jobs(self, before_ms: int, limit: int) -> list[str]:
        """Ids of visible open jobs without an append since `before_ms`, longest first."""
        parameters = {"before_ms": before_ms, "limit": limit}
        return [row["id"] for row in await self._readers.fetch(JOBS["idle_open_jobs"], parameters)]

    async def unfinished_jobs(self) -> dict[str, Pending]:
        """What each unfinished job has of images that are not final; jobs without are left out."""
        rows = await self._readers.fetch(JOBS["unfinished_jobs"], {})
        return {
            row["id"]: Pending(Priority(row["priority"]), row["waiting"], row["unfetched"])
            for row in rows
            if row["waiting"]
        }

    async def key(self, key: str, now_ms: int) -> KnownKey | None:
        """None for an idempotency key that is unknown, or was expired at `now_ms`."""
        rows = await self._readers.fetch(KEYS["key"], {"key": key, "now_ms": now_ms})
        return key_from_row(tuple(rows[0])) if rows else None

    async def preset(self, name: str) -> Preset | None:
        """An own preset; None when there is none of that name."""
        rows = await self._readers.fetch(PRESETS["preset"], {"name": name})
        return preset_from_row(rows[0]) if rows else None

    async def presets(self) -> list[Preset]:
        """All own presets, by name."""
        rows = await self._readers.fetch(PRESETS["all_presets"], {})
        return [preset_from_row(row) for row in rows]

    async def watermark(self, name: str) -> KeptWatermark | None:
        """None when there is none of that name."""
        rows = await self._readers.fetch(WATERMARKS["watermark"], {"name": name})
        return watermark_from_row(rows[0]) if rows else None

    async def watermarks(self) -> list[KeptWatermark]:
        """All watermarks, by name."""
        rows = await self._readers.fetch(WATERMARKS["all_watermarks"], {})
        return [watermark_from_row(row) for row in rows]

    async def watermark_digests(self, names: Collection[str]) -> dict[str, str]:
        """The content (sha256) that each name means now; unknown ones are left out."""
        parameters = {"names": dump_json(list(names))}
        rows = await self._readers.fetch(WATERMARKS["watermark_digests"], parameters)
        return {row["name"]: row["sha256"] for row in rows}

    async def watermark_files(self) -> set[str]:
        """The contents (sha256) of all files that are kept."""
        rows = await self._readers.fetch(WATERMARKS["all_watermark_files"], {})
        return {row["sha256"] for row in rows}

    async def webhook(self, job_id: str) -> Webhook | None:
        """None when the job tells nobody, or is gone."""
        rows = await self._readers.fetch(WEBHOOKS["webhook"], {"job_id": job_id})
        return webhook_from_row(rows[0]) if rows else None

    async def deliveries(
        self, job_id: str, *, limit: int, after: str | None = None
    ) -> tuple[list[Delivery], str | None]:
        """Newest first; `after` is a delivery's id. Raises NotFound for the job."""
        parameters = {
            "job_id": job_id,
            "after": _AFTER_EVERY_ID if after is None else after,
            "limit": limit + 1,
        }
        rows = await self._readers.fetch(WEBHOOKS["deliveries_of_job"], parameters)
        if not rows:
            await self.job(job_id)
        deliveries = [delivery_from_row(row) for row in rows[:limit]]
        return deliveries, deliveries[-1].id if len(rows) > limit else None

    async def due_deliveries(self, now_ms: int, *, running: Collection[str]) -> list[Delivery]:
        """What may be sent now, one for each receiver, besides what is under way."""
        parameters = {"now_ms": now_ms, "running": dump_json(list(running))}
        rows = await self._readers.fetch(WEBHOOKS["due_deliveries"], parameters)
        return [delivery_from_row(row) for row in rows]

    async def next_delivery_ms(self, now_ms: int) -> int | None:
        """When the next one is due that is not due at `now_ms`; None when there is none."""
        rows = await self._readers.fetch(WEBHOOKS["next_delivery"], {"now_ms": now_ms})
        next_at: int | None = rows[0]["next_at"]
        return next_at

    async def waiting_deliveries(self, most: int) -> int:
        """How many messages are still to be sent; nobody counts beyond `most`."""
        rows = await self._readers.fetch(WEBHOOKS["waiting_deliveries"], {"most": most})
        waiting: int = rows[0]["waiting"]
        return waiting

    async def payload(self, delivery_id: str) -> str | None:
        """What a message is made of, as JSON; None when it is gone."""
        rows = await self._readers.fetch(WEBHOOKS["payload"], {"id": delivery_id})
        return rows[0]["payload"] if rows else None

    async def ended_job(self, delivery: Delivery, payload: str) -> Job:
        """The job as the message of its end tells of it. Raises NotFound."""
        return load_end(await self.job(delivery.job_id), payload)

    async def jobs_to_announce_images_of(self) -> list[str]:
        """Ids of visible jobs with images that are final and stand in no message yet."""
        rows = await self._readers.fetch(WEBHOOKS["jobs_to_announce_images_of"], {})
        return [row["id"] for row in rows]

    async def unannounced_images(
        self, job_id: str, limit: int
    ) -> list[tuple[Image, tuple[int, int]]]:
        """The first images that became final and stand in no message yet, as they are now; each
        with the place (seq, index) of its end. One may come twice, or be taken up again.
        """
        parameters = {"job_id": job_id, "limit": limit}
        rows = await self._readers.fetch(WEBHOOKS["unannounced_images"], parameters)
        return [(image_from_row(tuple(row)[:-1]), (row["seq"], row["idx"])) for row in rows]

    async def product_list(self, job_id: str) -> ProductList | None:
        """The table that a job's images came in; None when they came otherwise."""
        rows = await self._readers.fetch(PRODUCT_LISTS["product_list"], {"job_id": job_id})
        return list_from_row(rows[0]) if rows else None

    async def iter_product_rows(
        self, job_id: str, *, batch: int = 200
    ) -> AsyncIterator[ProductRow]:
        """Every row of a job's product list in order, `batch` at a time."""
        after = -1
        while True:
            parameters = {"job_id": job_id, "after": after, "limit": batch}
            rows = await self._readers.fetch(PRODUCT_LISTS["product_rows"], parameters)
            for row in rows:
                yield row_from_row(row)
            if len(rows) < batch:
                return
            after = rows[-1]["first_idx"]

    async def exports(self) -> dict[str, Export]:
        """What runs without a server have put into their folder, by input name."""
        rows = await self._readers.fetch(EXPORTS["all_exports"], {})
        return {export.name: export for export in map(export_from_row, rows)}
