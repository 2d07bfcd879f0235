"""Files of a watched folder become images of jobs.

Bytes are copied and made durable as an upload's are, so whatever happens to a file later, the
image is what was seen. What was taken is written in the commit that makes the job visible: a
kill at any moment neither forgets a file nor takes it twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from imgsvc.domain.image import NewImage, SourceKind
from imgsvc.domain.input_names import clean_name
from imgsvc.domain.job import MAX_LABEL_CHARS, Job
from imgsvc.domain.stable_names import StableNames
from imgsvc.domain.watched import FileState, TakenFile, WatchedFile
from imgsvc.errors import QueueFull
from imgsvc.folders.scan import FileChanged, Fingerprint, Folder, Sighting
from imgsvc.folders.steady import hash_file, open_steady
from imgsvc.intake.reception import conclude, too_many_bytes
from imgsvc.intake.spec import JobSpec
from imgsvc.recipes.model import load_recipe
from imgsvc.service.submit import Submission, Submitter
from imgsvc.store.store import Store

BLOCK_BYTES = 1 << 20


@dataclass(slots=True)
class Taken:
    """What became of a batch. job: None when nothing of it is new.

    left: files that are to be looked at anew: they changed, cannot be read, or there was no
    place for them.
    """

    files: list[TakenFile] = field(default_factory=list)
    touched: list[TakenFile] = field(default_factory=list)
    left: list[Sighting] = field(default_factory=list)
    unreadable: list[tuple[Sighting, OSError]] = field(default_factory=list)
    job: Job | None = None


class Taker:
    """on_job: called with a job's id and its number of images once it is durable."""

    def __init__(
        self,
        store: Store,
        submitter: Submitter,
        folder: Folder,
        *,
        preset: str,
        on_job: Callable[[str, int], None],
    ) -> None:
        self._store = store
        self._submitter = submitter
        self._folder = folder
        self._key = str(folder.root)
        self._preset = preset
        self._on_job = on_job
        self._max_bytes = submitter.limits.max_image_bytes
        self._names: StableNames | None = None
        self._named_for = ""
        self._chosen: dict[str, str] = {}  # of files that are not taken yet

    @property
    def most(self) -> int:
        """How many files a batch may have."""
        return self._submitter.limits.max_images_per_job

    def forget_names(self) -> None:
        """Names of results that are forgotten may be given again."""
        self._named_for = ""

    async def take(self, batch: Sequence[Sighting]) -> Taken:
        """Make a job of what is new in a batch.

        Raises QueueFull when there is no place for any of it, StorageFull, ShuttingDown, and
        InvalidRequest or InvalidRecipe when the preset cannot be used any more.
        """
        known = await self._store.folders.files_by_name(self._key, [one.name for one in batch])
        taken = Taken()
        async with await self._submitter.begin("watch") as submission:
            label = (clean_name(self._folder.root.name) or "/")[-MAX_LABEL_CHARS:]
            await submission.describe(JobSpec(preset=self._preset, label=label))
            await self._receive_all(batch, submission, known, taken)
            if taken.files:
                taken.job = await submission.commit(taken=taken.files)
        if taken.touched:
            await self._store.touch_files(taken.touched)
        if taken.job is not None:
            for file in taken.files:
                self._chosen.pop(file.name, None)
            self._on_job(taken.job.id, len(taken.files))
        return taken

    async def _receive_all(
        self,
        batch: Sequence[Sighting],
        submission: Submission,
        known: Mapping[str, WatchedFile],
        taken: Taken,
    ) -> None:
        recipe = hashlib.sha256(submission.recipe.encode()).hexdigest()[:32]
        choices = await self._choose_names(batch, submission.recipe, known)
        for place, sighting in enumerate(batch):
            before, image = known.get(sighting.name), None
            try:
                sha256 = await self._find_same(sighting, before, recipe)
                if sha256 is None:
                    image = await self._receive(sighting, submission)
                    await submission.add(image)
            except FileChanged:
                taken.left.append(sighting)
                continue
            except OSError as exc:
                taken.unreadable.append((sighting, exc))
                continue
            except QueueFull:
                if not taken.files:
                    raise
                taken.left += batch[place:]
                return
            file = TakenFile(
                folder=self._key,
                name=sighting.name,
                fingerprint=dump_fingerprint(sighting.fingerprint),
                sha256=sha256 if image is None else image.sha256,
                recipe=recipe,
                index=len(taken.files),
                choice=choices[sighting.name],
            )
            (taken.touched if image is None else taken.files).append(file)

    async def _find_same(
        self, sighting: Sighting, before: WatchedFile | None, recipe: str
    ) -> str | None:
        """The sha256 of a file's bytes when they are those that were taken before, and nothing
        else would be made of them; None otherwise. What failed is worth another try.

        Raises FileChanged, OSError.
        """
        if before is None or before.state is FileState.FAILED or before.recipe != recipe:
            return None
        sha256 = await asyncio.to_thread(hash_file, self._folder, sighting)
        return sha256 if sha256 == before.sha256 else None

    async def _receive(self, sighting: Sighting, submission: Submission) -> NewImage:
        """The bytes of a file. Raises FileChanged when it does not hold still, OSError."""
        name, file = clean_name(sighting.name), submission.stage.new_file()
        if sighting.size_bytes > self._max_bytes:
            failure = too_many_bytes(self._max_bytes)
            return await conclude(file, SourceKind.UPLOAD, name, sighting.size_bytes, failure)
        opened = await asyncio.to_thread(open_steady, self._folder, sighting)
        try:
            while block := await asyncio.to_thread(opened.read, BLOCK_BYTES):
                await file.write(block)
        except OSError:
            await file.abort()
            raise
        finally:
            await asyncio.to_thread(opened.close)
        return await conclude(file, SourceKind.UPLOAD, name, file.size_bytes, None)

    async def _choose_names(
        self, batch: Sequence[Sighting], recipe: str, known: Mapping[str, WatchedFile]
    ) -> dict[str, str]:
        """What the results of each file are called; who had a name keeps it."""
        if self._names is None or self._named_for != recipe:
            self._names, self._named_for = await self._load_names(recipe), recipe
            self._chosen.clear()
        chosen = {name: file.choice for name, file in known.items()} | self._chosen
        new = [sighting.name for sighting in batch if sighting.name not in chosen]
        self._chosen |= zip(new, self._names.choose(new), strict=True)
        return chosen | self._chosen

    async def _load_names(self, recipe: str) -> StableNames:
        """With all that were ever given in this folder."""
        variants = [(variant.name, variant.format) for variant in load_recipe(recipe).variants]
        names = StableNames(variants)
        async for files in self._store.folders.iter_files(self._key):
            for file in files:
                names.keep(file.choice)
        return names


def dump_fingerprint(fingerprint: Fingerprint) -> str:
    return ":".join(map(str, fingerprint))


def load_fingerprint(text: str) -> Fingerprint:
    """What `dump_fingerprint` was given."""
    size_bytes, mtime_ns, inode = map(int, text.split(":"))
    return size_bytes, mtime_ns, inode
