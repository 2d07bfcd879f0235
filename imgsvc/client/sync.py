"""The client without asyncio: the same methods, which return when they are done."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from pathlib import Path
from typing import Any, Self, TypeVar

from imgsvc.client.answers import Accepted, Delivery, Image, Job, Preset, ProgressMessage, Watermark
from imgsvc.client.client import Client
from imgsvc.client.download import Downloaded
from imgsvc.client.journal import Journal
from imgsvc.client.upload import Upload, UrlUpload
from imgsvc.domain.backup import SavedBackup

T = TypeVar("T")


class SyncClient:
    """A server's API, for use in `with`, by one thread at a time and outside of event loops.

    Every method does what the one of the same name of `Client` does, and raises the same.
    """

    def __init__(
        self,
        server: str | None = None,
        api_key: str | None = None,
        *,
        agent: str = "imgsvc-client",
    ) -> None:
        self._client = Client(server, api_key, agent=agent)
        self._runner = asyncio.Runner()

    @property
    def server(self) -> str:
        return self._client.server

    def __enter__(self) -> Self:
        self._run(self._client.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._run(self._client.__aexit__(*exc))
        finally:
            self._runner.close()

    def info(self) -> dict[str, Any]:
        return self._run(self._client.info())

    def problems(self) -> list[str]:
        return self._run(self._client.problems())

    def presets(self) -> list[Preset]:
        return self._run(self._client.presets())

    def preset(self, name: str) -> Preset:
        return self._run(self._client.preset(name))

    def save_preset(self, name: str, recipe: Mapping[str, Any]) -> Preset:
        return self._run(self._client.save_preset(name, recipe))

    def delete_preset(self, name: str) -> None:
        self._run(self._client.delete_preset(name))

    def watermarks(self) -> list[Watermark]:
        return self._run(self._client.watermarks())

    def watermark(self, name: str) -> Watermark:
        return self._run(self._client.watermark(name))

    def save_watermark(self, name: str, picture: Path | bytes) -> Watermark:
        return self._run(self._client.save_watermark(name, picture))

    def delete_watermark(self, name: str) -> None:
        self._run(self._client.delete_watermark(name))

    def submit(
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
        return self._run(
            self._client.submit(
                images,
                urls=urls,
                preset=preset,
                recipe=recipe,
                label=label,
                priority=priority,
                reuse=reuse,
                analyze=analyze,
                webhook=webhook,
                journal=journal,
                on_sent=on_sent,
            )
        )

    def submit_list(
        self,
        table: Path | bytes,
        *,
        charset: str | None = None,
        journal: Journal | None = None,
        **options: Any,
    ) -> Job:
        return self._run(
            self._client.submit_list(table, charset=charset, journal=journal, **options)
        )

    def render(
        self,
        image: Path | Upload,
        *,
        preset: str | None = None,
        variant: str | None = None,
        **fields: Any,
    ) -> bytes:
        return self._run(self._client.render(image, preset=preset, variant=variant, **fields))

    def open_job(
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
        return self._run(
            self._client.open_job(
                preset=preset,
                recipe=recipe,
                label=label,
                priority=priority,
                reuse=reuse,
                analyze=analyze,
                webhook=webhook,
            )
        )

    def append(self, job_id: str, images: Iterable[Path | Upload]) -> list[Accepted]:
        return self._run(self._client.append(job_id, images))

    def close(self, job_id: str) -> Job:
        return self._run(self._client.close(job_id))

    def job(self, job_id: str) -> Job:
        return self._run(self._client.job(job_id))

    def jobs(self, *, status: str | None = None, label: str | None = None) -> Iterator[Job]:
        return self._each(self._client.jobs(status=status, label=label))

    def images(self, job_id: str, *, status: str | None = None) -> Iterator[Image]:
        return self._each(self._client.images(job_id, status=status))

    def follow(self, job_id: str) -> Iterator[ProgressMessage]:
        return self._each(self._client.follow(job_id))

    def wait(self, job_id: str) -> Job:
        return self._run(self._client.wait(job_id))

    def cancel(self, job_id: str) -> Job:
        return self._run(self._client.cancel(job_id))

    def retry(self, job_id: str) -> Job:
        return self._run(self._client.retry(job_id))

    def deliveries(self, job_id: str) -> Iterator[Delivery]:
        return self._each(self._client.deliveries(job_id))

    def redeliver(self, job_id: str, delivery_id: str) -> Delivery:
        return self._run(self._client.redeliver(job_id, delivery_id))

    def delete(self, job_id: str) -> None:
        self._run(self._client.delete(job_id))

    def download(
        self,
        job_id: str,
        out_dir: Path,
        *,
        protected: Collection[Path] = (),
        on_file: Callable[[Downloaded], None] | None = None,
    ) -> Downloaded:
        return self._run(
            self._client.download(job_id, out_dir, protected=protected, on_file=on_file)
        )

    def save_outputs(
        self, job_id: str, image: Image, out_dir: Path, targets: Mapping[str, str]
    ) -> Downloaded:
        return self._run(self._client.save_outputs(job_id, image, out_dir, targets))

    def download_archive(self, job_id: str, path: Path, *, variant: str | None = None) -> int:
        return self._run(self._client.download_archive(job_id, path, variant=variant))

    def backup(self, path: Path) -> SavedBackup:
        return self._run(self._client.backup(path))

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(call)

    def _each(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """One after the other; what is left is let go of when the caller stops."""
        try:
            while True:
                try:
                    yield self._run(_next(items))
                except StopAsyncIteration:
                    return
        finally:
            self._run(items.aclose())


async def _next(items: AsyncGenerator[T, None]) -> T:
    return await anext(items)
