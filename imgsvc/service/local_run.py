"""A run without a server: files of a folder in, finished files in another folder.

Inputs are read in place. What is done is remembered by input name, with the input's size
and time and the recipe, so a run that is started again does only what is missing or
changed. Results are hard links to the engine's own files, which are let go at the end.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.disk import naming_full_disk
from imgsvc.dispatch.dispatcher import Dispatcher
from imgsvc.domain.ids import new_id
from imgsvc.domain.image import Image, NewImage, SourceKind, quote_path
from imgsvc.domain.job import NewJob
from imgsvc.domain.picture import HEADER_BYTES
from imgsvc.domain.rendering import Failure
from imgsvc.domain.states import ImageState, Priority
from imgsvc.domain.times import now_ms
from imgsvc.domain.watched import NOT_SAVED
from imgsvc.errors import ImageError, ImageErrorCode, StorageFull
from imgsvc.files.places import Placement, Places
from imgsvc.intake.headers import read_header, weigh
from imgsvc.progress.hub import Hub, HubClosed, Reader
from imgsvc.recipes.model import Recipe, canonical_json
from imgsvc.service.local_plan import (
    LocalFailure,
    LocalInput,
    LocalPlan,
    LocalWatermark,
    RunSummary,
)
from imgsvc.service.watermarks import Watermarks
from imgsvc.store.exports import Export, ExportedFile
from imgsvc.store.store import Store

APPEND = 1000
"""Images appended to the run's job at a time."""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of an input. files: what stands in the folder of it now.

    error: None when all is well. has_changed: it was another one by the time that it was made;
        nothing was put into the folder.
    """

    item: LocalInput
    files: tuple[ExportedFile, ...] = ()
    error: LocalFailure | None = None
    has_changed: bool = False


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
        self._pinned = ""  # until `begin`
        self._owners: dict[str, str] = {}
        """Whose each file in the folder is: target -> key of the input."""
        self._originals: frozenset[str] = frozenset()
        """Targets where images stand that are read: no result takes their places."""

    async def run(
        self, inputs: Sequence[LocalInput], on_progress: Callable[[RunSummary], None]
    ) -> RunSummary:
        """Make what is missing. `on_progress` is called whenever the summary has changed.

        Raises StorageFull and OSError when no results can be put into the folder, ImageError
        for a watermark that cannot be read.
        """
        await self.begin()
        summary = RunSummary(total=len(inputs))
        names = self._plan.name_results(inputs)
        exports = await self._store.exports()
        todo = await asyncio.to_thread(self._plan.find_todo, inputs, names, exports)
        self._originals = await asyncio.to_thread(_find_originals, inputs, self._out_dir)
        summary.skipped = len(inputs) - len(todo)
        on_progress(summary)
        if todo:
            async with aclosing(self.make(todo, names.path)) as rounds:
                async for made in rounds:
                    for one in made:
                        _add(one, summary)
                    on_progress(summary)
        await self.end()
        order = {item.name: number for number, item in enumerate(inputs)}
        summary.failures.sort(key=lambda failure: order[failure[0]])
        return summary

    async def begin(self) -> None:
        """Before anything is made: what an interrupted run had finished was put into the folder
        as it went, and the rest of it is forgotten. Raises ImageError as `run` does.
        """
        while True:
            jobs, _ = await self._store.jobs(limit=100)
            for job in jobs:
                await self._delete(job.id)
            if not jobs:
                break
        await asyncio.to_thread(Places(self._out_dir).sweep_all)
        await self._let_go_of_watermarks()
        self._pinned = await self._pin()
        exports = await self._store.exports()
        self._owners = {
            file.target: export.name for export in exports.values() for file in export.files
        }

    async def end(self) -> None:
        """When nothing more is to be made."""
        await self._let_go_of_watermarks()

    async def make(
        self,
        todo: Sequence[tuple[int, LocalInput]],
        place: Callable[[int, str, str], str],
        is_same: Callable[[LocalInput], bool] | None = None,
    ) -> AsyncGenerator[list[Made], None]:
        """Make these inputs, whatever is there already, between `begin` and `end`; several times
        side by side if wanted.

        place: where a result belongs, by the input's position, the variant and its format.
        is_same: whether an input is still as it was seen; asked, in a thread, before its
            results are put into the folder. None takes it for granted.
        Yields what has been made, again and again; to be closed. Raises StorageFull, OSError as
        `run` does.
        """
        job_id = new_id()
        with self._hub.watch(job_id) as reader:
            items = [item for _, item in todo]
            feeding = asyncio.create_task(self._feed(job_id, self._pinned, items), name="run-feed")
            feeding.add_done_callback(partial(_end_reading, reader))
            try:
                ended = False
                while not ended:
                    events = await reader.take()
                    images = [event.image for event in events if event.image is not None]
                    made = await asyncio.to_thread(self._judge, images, todo, place, is_same)
                    yield await self._put(made)
                    last = events[-1]
                    ended = last.image is None and last.job.state.is_final
                await feeding
            except HubClosed:
                await feeding
                raise
            except (StorageFull, OSError):
                with suppress(StorageFull, OSError):
                    await self._delete(job_id)  # else the rest of it is made for nobody
                raise
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
        await self._delete(job_id)

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

    def _judge(
        self,
        images: Iterable[Image],
        todo: Sequence[tuple[int, LocalInput]],
        place: Callable[[int, str, str], str],
        is_same: Callable[[LocalInput], bool] | None,
    ) -> list[tuple[Made, list[Placement]]]:
        """What has become of images that are final, and the files to put into the folder.
        Blocking.
        """
        made: list[tuple[Made, list[Placement]]] = []
        for image in images:
            index, item = todo[image.index]
            if not image.state.is_final:
                continue
            if is_same is not None and not is_same(item):
                made.append((Made(item, has_changed=True), []))
            elif image.state is ImageState.COMPLETED:
                files = self._name_files(image, partial(place, index))
                made.append((Made(item, tuple(file for file, _ in files)), [p for _, p in files]))
            elif image.error is not None:
                failure = LocalFailure(image.error.code, image.error.message)
                made.append((Made(item, error=failure), []))
        return made

    def _name_files(
        self, image: Image, place: Callable[[str, str], str]
    ) -> list[tuple[ExportedFile, Placement]]:
        files = []
        for output in image.outputs:
            target = place(output.variant, output.format)
            source = self._blobs.output_path(
                image.job_id, image.id, image.claim, output.variant, output.format
            )
            file = ExportedFile(output.variant, output.format, target, output.size_bytes)
            files.append((file, Placement(source, target)))
        return files

    async def _put(self, made: Sequence[tuple[Made, list[Placement]]]) -> list[Made]:
        """Put finished files where they belong, durably, and remember that they are there. What
        cannot stand where it belongs has failed.
        """
        if not any(placements for _, placements in made):
            return [one for one, _ in made]
        await self._take_over(made)
        with naming_full_disk():
            put = await asyncio.to_thread(_put_all, made, self._out_dir, self._originals)
        exports = [
            Export(self._plan.key(one.item), self._plan.fingerprint(one.item), one.files)
            for one in put
            if one.files
        ]
        await self._store.record_exports(exports)
        return put

    async def _take_over(self, made: Sequence[tuple[Made, list[Placement]]]) -> None:
        """Files of other inputs that are to be overwritten are theirs no more."""
        overwritten = set()
        for one, placements in made:
            key = self._plan.key(one.item)
            for _, target in placements:
                if self._owners.get(target, key) != key:
                    overwritten.add(self._owners[target])
                self._owners[target] = key
        if overwritten:
            await self._store.forget_exports(overwritten)

    async def _delete(self, job_id: str) -> None:
        await self._store.delete_job(job_id)
        await self._blobs.delete_job(job_id)


def _add(made: Made, summary: RunSummary) -> None:
    if made.error is None:
        summary.completed += 1
        summary.output_bytes += sum(file.size_bytes for file in made.files)
    else:
        summary.failed += 1
        summary.failures.append((made.item.name, made.error.code, made.error.message))


def _end_reading(reader: Reader, feeding: asyncio.Task[None]) -> None:
    """Nobody waits for the end of a job that is not fed any more."""
    if not feeding.cancelled() and feeding.exception() is not None:
        reader.close()


def _new_images(items: Sequence[LocalInput]) -> list[NewImage]:
    """Blocking: it looks at the beginning of each file."""
    return [_new_image(item) for item in items]


def _new_image(item: LocalInput) -> NewImage:
    picture, failure = None, None
    try:
        with item.path.open("rb") as file:
            picture = read_header(file.read(HEADER_BYTES))
    except PermissionError as exc:
        message = f"It cannot be read: {exc.strerror}"
        failure = Failure(ImageErrorCode.INTERNAL, message)
    except OSError:
        pass  # the worker will say so, or wait where that helps
    return NewImage(
        id=new_id(),
        name=item.name,
        kind=SourceKind.FILE,
        size_bytes=item.size_bytes,
        path=quote_path(item.path),
        failure=failure,
        picture=picture,
    )


def _find_originals(inputs: Sequence[LocalInput], out_dir: Path) -> frozenset[str]:
    """Inputs that stand in the folder for results, as targets there. Blocking."""
    root = out_dir.resolve()
    folders = {folder: folder.resolve() for folder in {item.path.parent for item in inputs}}
    paths = {folders[item.path.parent] / item.path.name for item in inputs}
    paths |= {path.resolve() for path in paths if path.is_symlink()}
    return frozenset(p.relative_to(root).as_posix() for p in paths if p.is_relative_to(root))


def _put_all(
    made: Sequence[tuple[Made, list[Placement]]], out_dir: Path, originals: frozenset[str]
) -> list[Made]:
    """Blocking: files to their targets, each at once or not at all, then their folders.

    originals: where nothing is put. Raises OSError for what is wrong with the disk, and not with
    one image.
    """
    put: list[Made] = []
    places = Places(out_dir)
    for one, placements in made:
        try:
            for source, target in placements:
                if target in originals:
                    raise FileExistsError(errno.EEXIST, f"{target} there is an image of this run")
                places.link(source, target)
        except OSError as exc:
            if places.takes_nothing(exc):
                raise
            reason = exc.strerror or "it cannot be written"
            failure = LocalFailure(NOT_SAVED, f"Its result cannot be saved: {reason}")
            put.append(replace(one, files=(), error=failure))
        else:
            put.append(one)
    places.sync()
    return put
