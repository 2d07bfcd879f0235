"""A run without a server: files of a folder in, finished files in another folder.

Inputs are read in place. What is done is remembered by input name, with the input's size
and time and the recipe, so a run that is started again does only what is missing or
changed. Results are hard links to the engine's own files, which are let go at the end.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.disk import sync_path
from imgsvc.dispatch.dispatcher import Dispatcher
from imgsvc.domain.ids import new_id
from imgsvc.domain.image import Image, NewImage, SourceKind, quote_path
from imgsvc.domain.job import NewJob
from imgsvc.domain.names import ResultNames
from imgsvc.domain.picture import HEADER_BYTES
from imgsvc.domain.states import ImageState, Priority
from imgsvc.domain.times import now_ms
from imgsvc.errors import ImageError
from imgsvc.intake.headers import read_header, weigh
from imgsvc.progress.hub import Hub, HubClosed, Reader
from imgsvc.recipes.model import Recipe, canonical_json
from imgsvc.service.local_plan import LocalInput, LocalPlan, LocalWatermark, RunSummary
from imgsvc.service.watermarks import Watermarks
from imgsvc.store.exports import Export, ExportedFile
from imgsvc.store.store import Store

APPEND = 1000
"""Images appended to the run's job at a time."""


class LocalRun:
    """One run of `recipe` over inputs, with results in `out_dir`.

    marks: the files of all watermarks that the recipe names.
    """

    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        hub: Hub,
        dispatcher: Dispatcher,
        watermarks: Watermarks,
        *,
        out_dir: Path,
        recipe: Recipe,
        preset: str | None,
        marks: Mapping[str, LocalWatermark],
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._hub = hub
        self._dispatcher = dispatcher
        self._out_dir = out_dir
        self._plan = LocalPlan(out_dir, recipe, marks)
        self._recipe = recipe
        self._watermarks = watermarks
        self._marks = marks
        self._preset = preset

    async def run(
        self, inputs: Sequence[LocalInput], on_progress: Callable[[RunSummary], None]
    ) -> RunSummary:
        """Make what is missing. `on_progress` is called whenever the summary has changed.

        Raises StorageFull and OSError when results cannot be put into the folder, ImageError
        for a watermark that cannot be read.
        """
        await self._forget_interrupted_runs()
        summary = RunSummary(total=len(inputs))
        names = self._plan.name_results(inputs)
        exports = await self._store.exports()
        todo = await asyncio.to_thread(self._plan.find_todo, inputs, names, exports)
        summary.skipped = len(inputs) - len(todo)
        on_progress(summary)
        if todo:
            await self._make(todo, names, summary, on_progress)
        return summary

    async def _forget_interrupted_runs(self) -> None:
        """What an interrupted run had finished was put into the folder as it went."""
        while True:
            jobs, _ = await self._store.jobs(limit=100)
            for job in jobs:
                await self._delete(job.id)
            if not jobs:
                break
        await self._let_go_of_watermarks()

    async def _make(
        self,
        todo: Sequence[tuple[int, LocalInput]],
        names: ResultNames,
        summary: RunSummary,
        on_progress: Callable[[RunSummary], None],
    ) -> None:
        job_id = new_id()
        recipe = await self._pin()
        with self._hub.watch(job_id) as reader:
            items = [item for _, item in todo]
            feeding = asyncio.create_task(self._feed(job_id, recipe, items), name="run-feed")
            feeding.add_done_callback(partial(_end_reading, reader))
            try:
                ended = False
                while not ended:
                    events = await reader.take()
                    images = [event.image for event in events if event.image is not None]
                    await self._collect(images, todo, names, summary)
                    on_progress(summary)
                    last = events[-1]
                    ended = last.image is None and last.job.state.is_final
                await feeding
            except HubClosed:
                await feeding
                raise
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
        await self._delete(job_id)
        await self._let_go_of_watermarks()

    async def _let_go_of_watermarks(self) -> None:
        for watermark in await self._watermarks.all():
            await self._watermarks.delete(watermark.name)
        await self._watermarks.remove_unused(now_ms(), kept_pinned_ms=0)

    async def _pin(self) -> str:
        """The canonical recipe with its watermarks, which are kept for the run alone."""
        for name, mark in self._marks.items():
            try:
                await self._watermarks.save(name, mark.path)
            except ImageError as exc:
                message = f"The watermark {mark.path} cannot be used: {exc.message}"
                raise ImageError(exc.code, message) from exc
        return canonical_json(await self._watermarks.pin(self._recipe))

    async def _feed(self, job_id: str, recipe: str, items: Sequence[LocalInput]) -> None:
        """Give the inputs to the engine as images of one job."""
        job = NewJob(
            id=job_id,
            recipe=recipe,
            preset=self._preset,
            label=None,
            priority=Priority.NORMAL,
            source="run",
            open=True,
            hidden=False,
            retain_s=0,
            analyze=False,  # nobody would see it
        )
        await self._blobs.stage(job_id).sync()  # makes the job's folder
        await self._store.create_job(job, [], now_ms())
        for start in range(0, len(items), APPEND):
            images = await asyncio.to_thread(_new_images, items[start : start + APPEND])
            images = await weigh(images, recipe)
            await self._store.append_images(job_id, images, now_ms())
            self._dispatcher.job_has_work(job)
        await self._store.close_job(job_id, now_ms())

    async def _collect(
        self,
        images: Iterable[Image],
        todo: Sequence[tuple[int, LocalInput]],
        names: ResultNames,
        summary: RunSummary,
    ) -> None:
        """Put finished files where they belong, durably, and remember that they are there."""
        placements: list[tuple[Path, Path]] = []
        exports: list[Export] = []
        for image in images:
            index, item = todo[image.index]
            if image.state is ImageState.COMPLETED:
                files = self._place(image, index, names, placements)
                exports.append(Export(self._plan.key(item), self._plan.fingerprint(item), files))
                summary.completed += 1
                summary.output_bytes += sum(file.size_bytes for file in files)
            elif image.state is ImageState.FAILED and image.error is not None:
                summary.failed += 1
                summary.failures.append((item.name, image.error.code, image.error.message))
        if placements:
            await asyncio.to_thread(_put_all, placements)
            await self._store.record_exports(exports)

    def _place(
        self, image: Image, index: int, names: ResultNames, placements: list[tuple[Path, Path]]
    ) -> tuple[ExportedFile, ...]:
        files = []
        for output in image.outputs:
            target = names.path(index, output.variant, output.format)
            source = self._blobs.output_path(
                image.job_id, image.id, image.claim, output.variant, output.format
            )
            placements.append((source, self._out_dir / target))
            files.append(ExportedFile(output.variant, output.format, target, output.size_bytes))
        return tuple(files)

    async def _delete(self, job_id: str) -> None:
        await self._store.delete_job(job_id)
        await self._blobs.delete_job(job_id)


def _end_reading(reader: Reader, feeding: asyncio.Task[None]) -> None:
    """Nobody waits for the end of a job that is not fed any more."""
    if not feeding.cancelled() and feeding.exception() is not None:
        reader.close()


def _new_images(items: Sequence[LocalInput]) -> list[NewImage]:
    """Blocking: it looks at the beginning of each file."""
    return [_new_image(item) for item in items]


def _new_image(item: LocalInput) -> NewImage:
    try:
        with item.path.open("rb") as file:
            picture = read_header(file.read(HEADER_BYTES))
    except OSError:  # the worker will say so
        picture = None
    return NewImage(
        id=new_id(),
        name=item.name,
        kind=SourceKind.FILE,
        size_bytes=item.size_bytes,
        path=quote_path(item.path),
        picture=picture,
    )


def _put_all(placements: Sequence[tuple[Path, Path]]) -> None:
    """Blocking: files to their targets, each at once or not at all, then their folders."""
    folders = set()
    for source, target in placements:
        if target.parent not in folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            folders.add(target.parent)
        _put(source, target)
    for folder in folders:
        sync_path(folder)


def _put(source: Path, target: Path) -> None:
    temporary = target.parent / f".{source.name}.part"
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, temporary)
        sync_path(temporary)
    temporary.replace(target)
