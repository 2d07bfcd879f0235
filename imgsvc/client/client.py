"""The client: every call a method, every answer as the server's JSON has it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Self, cast

from imgsvc.client.answers import JOB_KEY, Accepted, Delivery, Image, Job, Output, ProgressMessage
from imgsvc.client.collections import Collections
from imgsvc.client.connection import DEFAULT_SERVER, Connection
from imgsvc.client.download import (
    Downloaded,
    Result,
    check_protected,
    fetch_to_file,
    make_places,
    save_results,
)
from imgsvc.client.errors import ClientError, translating
from imgsvc.client.journal import Journal
from imgsvc.client.patience import Patience
from imgsvc.client.progress import follow
from imgsvc.client.queries import as_query
from imgsvc.client.sending import Sending, make_parcels
from imgsvc.client.upload import MultipartBody, Upload, UrlUpload, read_whole
from imgsvc.client.variants import check_outputs, variants_of
from imgsvc.domain.backup import SavedBackup
from imgsvc.domain.names import ResultNames
from imgsvc.files.places import PRIVATE, Places

PAGE_OF_JOBS = 100
PAGE_OF_IMAGES = 1000
PAGE_OF_DELIVERIES = 500


class Client(Collections):
    """A server's API, for use in `async with`.

    server: its URL; None takes IMGSVC_SERVER, else http://127.0.0.1:8080.
    api_key: None takes IMGSVC_API_KEY, else none is sent.
    agent: what the program calls itself; jobs of `imgsvc-cli` and `imgsvc-watch` are marked
        as such.
    patience: how a server that is away is waited for, anew for every undertaking.

    Every method raises ServerUnreachable or ApiError; see `imgsvc.client.errors`.
    """

    def __init__(
        self,
        server: str | None = None,
        api_key: str | None = None,
        *,
        agent: str = "imgsvc-client",
        patience: Callable[[], Patience] = Patience,
    ) -> None:
        self._patience = patience
        self._connection = Connection(
            server or os.environ.get("IMGSVC_SERVER") or DEFAULT_SERVER,
            api_key or os.environ.get("IMGSVC_API_KEY"),
            agent,
        )

    @property
    def server(self) -> str:
        return self._connection.server

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._connection.__aexit__(*exc)

    async def info(self) -> dict[str, Any]:
        """What the server is and can: version, formats, limits, workers, queue."""
        return cast("dict[str, Any]", await self._connection.json("GET", "info", key="limits"))

    async def problems(self) -> list[str]:
        """Why the server is not ready, such as `storage_full`; none when it is."""
        return await self._connection.problems()

    async def submit(
        self,
        images: Iterable[Path | Upload],
        *,
        urls: Sequence[UrlUpload] = (),
        preset: str | None = None,
        recipe: Mapping[str, Any] | None = None,
        label: str | None = None,
        priority: str | None = None,
        reuse: bool | None = None,
        analyze: bool | None = None,
        webhook: str | Mapping[str, Any] | None = None,
        journal: Journal | None = None,
        on_sent: Callable[[int], None] | None = None,
    ) -> Job:
        """Send images as one job; when this returns, the server keeps them for good.

        images: files are read one after the other as they are sent, and a bare path is
            called by its last part; see FileUpload for names with folders.
        urls: images that the server fetches, later; they come before the others.
        preset, recipe, label, priority: None leaves the server's default.
        reuse: False makes everything anew, also what was made of the same bytes before.
        analyze: False leaves out what the images are like, `analysis`.
        webhook: the URL that is told when the job is final, or all that a job says of one:
            `{"url": …, "events": […], "secret": …}`.
        journal: with one, thousands of images go over several connections, in no
            particular order, to a job that is being worked on meanwhile; a server that is
            away for a moment is waited for. What breaks off all the same goes on where it
            stopped when it is called again with the journal; `forget` it in the end.
        on_sent: told the number of bytes of images sent so far, again and again.

        Raises LocalFileError for a file that cannot be read; without a journal nothing was
        submitted then.
        """
        spec = _spec(preset, recipe, label, priority, reuse, analyze, webhook)
        if journal is not None:
            parcels = await asyncio.to_thread(make_parcels, images)
            return await self._sending(journal, on_sent).send(spec, parcels, urls)
        if urls:
            return await self._submit_urls(spec, urls, list(images), on_sent)
        body = MultipartBody(spec, images, on_sent)
        return cast("Job", await self._upload("jobs", key=JOB_KEY, body=body))

    async def submit_list(
        self,
        table: Path | bytes,
        *,
        charset: str | None = None,
        journal: Journal | None = None,
        **options: Any,
    ) -> Job:
        """A product list in CSV as one job, of the images whose URLs it holds.

        charset: None leaves it to the server, which knows UTF-8 and UTF-16 by themselves.
        options: `preset`, `recipe`, `label`, `priority`, `reuse`, `analyze`, `retain_s`, `open`
            as a job has them, and `webhook_url`.
        journal: as for `submit`, of this list and these options alone.

        Raises ApiError `invalid_csv` with every wrong place, LocalFileError.
        """
        data = table if isinstance(table, bytes) else await read_whole(table)
        kind = {"Content-Type": f"text/csv; charset={charset}" if charset else "text/csv"}
        params = as_query(options)

        async def submit(headers: Mapping[str, str]) -> Job:
            return await self._connection.job(
                "POST", params=params, data=data, headers={**kind, **headers}
            )

        if journal is not None:
            return await self._sending(journal).send_once(submit)
        return await submit(headers={})

    async def render(
        self,
        image: Path | Upload,
        *,
        preset: str | None = None,
        variant: str | None = None,
        **fields: Any,
    ) -> bytes:
        """One image made into one file, at once and ahead of all jobs; the server keeps nothing.

        preset, variant: one variant of a preset; None takes its only one.
        fields: instead of a preset those of a recipe's variant, such as `width=300` or
            `gravity={"x": 0.3, "y": 0.5}`; with none at all the image keeps format and size.

        Raises ApiError, with the image's own code when it cannot be made; LocalFileError.
        """
        params = as_query({"preset": preset, "variant": variant, **fields})
        body = MultipartBody(None, [image])
        try:
            async with self._connection.send(
                "render", params=params, content_type=body.content_type, body=body.stream()
            ) as response:
                return await response.read()
        except ClientError as exc:
            raise (body.failure or exc) from exc

    async def open_job(
        self,
        *,
        preset: str | None = None,
        recipe: Mapping[str, Any] | None = None,
        label: str | None = None,
        priority: str | None = None,
        reuse: bool | None = None,
        analyze: bool | None = None,
        webhook: str | Mapping[str, Any] | None = None,
    ) -> Job:
        """A job without images yet: `append` some, as they come, and `close` it in the end."""
        spec = _spec(preset, recipe, label, priority, reuse, analyze, webhook)
        return await self._connection.job("POST", json={**spec, "open": True})

    async def append(self, job_id: str, images: Iterable[Path | Upload]) -> list[Accepted]:
        """Send images to an open job, all or none of them; they are worked on at once.

        Raises ApiError `job_closed` for a job that takes no more, LocalFileError.
        """
        body = MultipartBody(None, images)
        answer = await self._upload("jobs", job_id, "images", key="accepted", body=body)
        return cast("list[Accepted]", answer["accepted"])

    async def close(self, job_id: str) -> Job:
        """No more images will come; the job is final when those it has are."""
        return await self._connection.job("POST", job_id, "close")

    async def job(self, job_id: str) -> Job:
        return await self._connection.job("GET", job_id)

    async def jobs(
        self, *, status: str | None = None, label: str | None = None
    ) -> AsyncGenerator[Job, None]:
        """All jobs, newest first, asked for page by page as they are read."""
        given = {"status": status, "label": label, "limit": str(PAGE_OF_JOBS)}
        async for item in self._pages("jobs", params=given):
            yield cast("Job", item)

    async def images(
        self, job_id: str, *, status: str | None = None
    ) -> AsyncGenerator[Image, None]:
        """All images of a job in index order, asked for page by page as they are read."""
        given = {"status": status, "limit": str(PAGE_OF_IMAGES)}
        async for item in self._pages("jobs", job_id, "images", params=given):
            yield cast("Image", item)

    async def follow(self, job_id: str) -> AsyncGenerator[ProgressMessage, None]:
        """Progress messages of a job, from a `snapshot` to its `end`.

        A broken connection is made again; messages then begin with a `snapshot` once more. Where
        no WebSocket gets through there is a `snapshot` every few seconds.
        """
        await self.job(job_id)  # tells of a job that is not there better than a WebSocket
        async with aclosing(follow(self._connection, job_id, self._patience())) as messages:
            async for message in messages:
                yield message

    async def wait(self, job_id: str) -> Job:
        """The job, once it is final. Raises ClientError when it was deleted meanwhile."""
        async with aclosing(self.follow(job_id)) as messages:
            async for message in messages:
                if message["type"] == "end":
                    return _check_whole(cast("Job", message["job"]))
        raise ClientError("The job's progress ended before the job did.")

    async def cancel(self, job_id: str) -> Job:
        """Cancel every image that is not final yet; what is finished stays."""
        return await self._connection.job("POST", job_id, "cancel")

    async def retry(self, job_id: str) -> Job:
        """Have failed and cancelled images tried again, as if never tried."""
        return await self._connection.job("POST", job_id, "retry")

    async def deliveries(self, job_id: str) -> AsyncGenerator[Delivery, None]:
        """What was sent to a job's webhook, or is to be, newest first."""
        params = {"limit": str(PAGE_OF_DELIVERIES)}
        async for item in self._pages("jobs", job_id, "deliveries", params=params):
            yield cast("Delivery", item)

    async def redeliver(self, job_id: str, delivery_id: str) -> Delivery:
        """Send a message to the job's webhook again, at once, whatever became of it."""
        parts = ("jobs", job_id, "deliveries", delivery_id, "redeliver")
        return cast("Delivery", await self._connection.json("POST", *parts, key="event"))

    async def delete(self, job_id: str) -> None:
        """Cancel what runs of a job, and delete it with all its files."""
        await self._connection.delete("jobs", job_id)

    async def download(
        self,
        job_id: str,
        out_dir: Path,
        *,
        protected: Collection[Path] = (),
        on_file: Callable[[Downloaded], None] | None = None,
    ) -> Downloaded:
        """Save every output that is finished under `out_dir`, named as in the ZIP archive.

        A file that is there already with the same bytes is left alone; one with other
        bytes is replaced. Raises in the end ResultsUnsaved when any cannot stand where it belongs,
        else ResultsLost when the server has lost any.

        protected: files that must not be replaced, such as the inputs; if a result would
            stand in the place of one, ClientError is raised and nothing is saved.
        on_file: told how far the download is, after every file.
        """
        results = await self._results(job_id)
        if protected:
            paths = [out_dir / result.target for result in results]
            await asyncio.to_thread(check_protected, paths, protected)
        targets = [result.target for result in results]
        places = await asyncio.to_thread(make_places, out_dir, targets)
        return await save_results(self._connection, job_id, places, results, on_file)

    async def save_outputs(
        self, job_id: str, image: Image, out_dir: Path, targets: Mapping[str, str]
    ) -> Downloaded:
        """Save the outputs of one image, durably, in a folder that is there.

        targets: where each variant belongs in it, with `/`.
        """
        results = [
            Result(
                index=image["index"],
                variant=output["variant"],
                size_bytes=output["size_bytes"],
                sha256=output["sha256"],
                target=targets[output["variant"]],
            )
            for output in image["outputs"]
        ]
        places = Places(out_dir)
        done = await save_results(self._connection, job_id, places, results, all_or_error=True)
        with translating(out_dir):
            await asyncio.to_thread(places.sync)
        return done

    async def download_archive(self, job_id: str, path: Path, *, variant: str | None = None) -> int:
        """Save the outputs finished so far as one ZIP file. Returns its bytes.

        variant: None takes all of them.
        """
        params = {"variant": variant} if variant else None
        parts = ("jobs", job_id, "archive.zip")
        places = await asyncio.to_thread(make_places, path.parent, [path.name])
        fetched = await fetch_to_file(self._connection, parts, places, path.name, params=params)
        return fetched.size_bytes

    async def backup(self, path: Path) -> SavedBackup:
        """Save the server's whole data folder, as of one moment, as one ZIP file, which only its
        owner may read.
        """
        places = await asyncio.to_thread(
            make_places, path.parent, [path.name], durably=True, mode=PRIVATE
        )
        fetched = await fetch_to_file(
            self._connection, ("backup",), places, path.name, method="POST"
        )
        with translating(path):
            await asyncio.to_thread(places.sync)
        missing_files = int(fetched.headers.get("Imgsvc-Missing-Files", 0))
        return SavedBackup(fetched.size_bytes, missing_files)

    async def _results(self, job_id: str) -> list[Result]:
        variants = variants_of((await self.job(job_id))["recipe"])
        inputs: list[tuple[int, str]] = []
        outputs: list[tuple[int, Output]] = []
        async for image in self.images(job_id):
            inputs.append((image["index"], image["name"]))
            outputs.extend((image["index"], output) for output in image["outputs"])
        check_outputs((output for _, output in outputs), variants)
        names = await asyncio.to_thread(ResultNames, inputs, variants)
        return [
            Result(
                index=index,
                variant=output["variant"],
                size_bytes=output["size_bytes"],
                sha256=output["sha256"],
                target=names.path(index, output["variant"], output["format"]),
            )
            for index, output in outputs
        ]

    def _sending(self, journal: Journal, on_sent: Callable[[int], None] | None = None) -> Sending:
        return Sending(self._connection, self.images, journal, on_sent, self._patience())

    async def _submit_urls(
        self,
        spec: Mapping[str, Any],
        urls: Iterable[UrlUpload],
        images: Sequence[Path | Upload],
        on_sent: Callable[[int], None] | None,
    ) -> Job:
        """Images beside them follow in a request of their own; if that fails there is no job."""
        body = {**spec, "images": [url.document() for url in urls], "open": bool(images)}
        job = await self._connection.job("POST", json=body)
        if not images:
            return job
        try:
            files = MultipartBody(None, images, on_sent)
            await self._upload("jobs", job["id"], "images", key="accepted", body=files)
            return await self.close(job["id"])
        except BaseException:
            with suppress(ClientError):
                await self.delete(job["id"])
            raise

    async def _upload(self, *parts: str, key: str, body: MultipartBody) -> Any:
        try:
            return await self._connection.upload(
                *parts, key=key, content_type=body.content_type, body=body.stream()
            )
        except ClientError as exc:
            raise (body.failure or exc) from exc

    async def _pages(
        self, *parts: str, params: Mapping[str, str | None]
    ) -> AsyncIterator[dict[str, Any]]:
        query = {key: value for key, value in params.items() if value is not None}
        while True:
            page = await self._connection.json("GET", *parts, key="next_cursor", params=query)
            for item in page["items"]:
                yield item
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]


def _check_whole(job: Job) -> Job:
    """A job that was deleted ends before its images do."""
    if job["completed"] + job["failed"] + job["cancelled"] < job["total"]:
        raise ClientError("The job was deleted.")
    return job


def _spec(
    preset: str | None,
    recipe: Mapping[str, Any] | None,
    label: str | None,
    priority: str | None,
    reuse: bool | None,
    analyze: bool | None,
    webhook: str | Mapping[str, Any] | None,
) -> dict[str, Any]:
    given = {
        "preset": preset,
        "recipe": recipe,
        "label": label,
        "priority": priority,
        "reuse": reuse,
        "analyze": analyze,
        "webhook": {"url": webhook} if isinstance(webhook, str) else webhook,
    }
    return {key: value for key, value in given.items() if value is not None}
