"""Sending thousands of images to one job, over a few connections, so that it can break off.

A job of URLs alone is one request. Else the job is open, and images are appended in groups; the
server takes a group whole or not at all. Each request has a key of its own, so that one whose
answer was lost is not taken twice. After an interruption the server's own list says what is
missing, and what may still be on its way goes once more in the same groups, with the same keys.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from imgsvc.client.answers import Image, Job
from imgsvc.client.connection import Connection
from imgsvc.client.errors import (
    ApiError,
    ClientError,
    FilesUnreadable,
    LocalFileError,
    translating,
)
from imgsvc.client.journal import Journal, Kind
from imgsvc.client.patience import Patience
from imgsvc.client.upload import BytesUpload, FileUpload, MultipartBody, Upload, UrlUpload
from imgsvc.domain.input_names import clean_name

CONNECTIONS = 4
GROUP_IMAGES = 32
GROUP_BYTES = 32 << 20
"""What one request brings, unless a single image is larger."""


_Submit = Callable[..., Awaitable[Job]]
"""A request for a job, which takes `headers`."""

_Group = tuple[str | None, Sequence["Parcel"]]
"""What goes together, and the key that it once had."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """An image to send. stored_name: what the server will call it.

    changed_at: of a file, seconds since 1970; None for what is in memory.
    """

    upload: Upload
    stored_name: str
    size_bytes: int
    changed_at: float | None

    @property
    def kind(self) -> Kind:
        return self.stored_name, self.size_bytes

    def sha256(self) -> str:
        """Hexadecimal. Blocking. Raises LocalFileError."""
        if isinstance(self.upload, BytesUpload):
            return hashlib.sha256(self.upload.data).hexdigest()
        try:
            with self.upload.open() as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            raise LocalFileError(self.upload.path, exc.strerror or "it cannot be read") from exc


def make_parcels(images: Iterable[Path | Upload]) -> list[Parcel]:
    """Blocking. Raises LocalFileError."""
    return [_make_parcel(image) for image in images]


def name_in_job(name: str) -> str:
    """What the server will call an image that is sent by this name; may be empty."""
    return clean_name(name) or ""


def fits_one_request(images: int, size_bytes: int) -> bool:
    return images <= GROUP_IMAGES and size_bytes <= GROUP_BYTES


class Sending:
    """One submission on its way.

    list_images: all images that a job has. on_sent: told how many bytes have gone out so
        far, counting what had arrived before.
    """

    def __init__(
        self,
        connection: Connection,
        list_images: Callable[[str], AsyncIterator[Image]],
        journal: Journal,
        on_sent: Callable[[int], None] | None,
        patience: Patience,
    ) -> None:
        self._connection = connection
        self._list_images = list_images
        self._journal = journal
        self._on_sent = on_sent
        self._patience = patience
        self._arrived_bytes = 0
        self._under_way: dict[str, int] = {}
        self._parcels: Sequence[Parcel] = ()

    async def send(
        self, spec: Mapping[str, Any], parcels: Sequence[Parcel], urls: Sequence[UrlUpload] = ()
    ) -> Job:
        """Send what is missing; the job, closed. Raises ClientErrors of all kinds: then it
        can be taken up again with the same journal.

        urls: what the server fetches; a job has them from its beginning.
        """
        self._parcels = parcels
        job, missing = await self._take_up()
        if job is None:
            await self._check_limit(len(parcels) + len(urls))
            await asyncio.to_thread(check_readable, [parcel.upload for parcel in parcels])
            images = [url.document() for url in urls]
            # the key is for this body: it stays the same where no file is left to be sent
            body = {**spec, "images": images, "open": bool(parcels) or not urls}
            job = await self._begin(partial(self._connection.job, "POST", json=body))
        if not job["open"]:
            return job
        groups = _groups_of(missing, self._journal.groups)
        await _run_side_by_side(self._send_groups(job["id"], groups) for _ in range(CONNECTIONS))
        return await self._close(job["id"])

    async def send_once(self, submit: _Submit) -> Job:
        """The job of what goes in one request, unless it is there from an earlier try."""
        job, _ = await self._take_up()
        return job or await self._begin(submit)

    async def _take_up(self) -> tuple[Job | None, Sequence[Parcel]]:
        """The job of an earlier try and what is missing of it; None to begin a new one.

        One that was closed meanwhile is of use only if it has everything; whoever cancelled it
        wants another.
        """
        job_id = self._journal.job_id
        if job_id is None:
            return None, self._parcels
        try:
            job = await self._connection.job("GET", job_id)
            missing = await self._find_missing(job_id)
        except ApiError as exc:
            if exc.code != "not_found":
                raise
        else:
            self._patience.note_answer()
            if job["open"] or (not missing and job["status"] != "cancelled"):
                self._arrived_bytes = _size_of(self._parcels) - _size_of(missing)
                return job, missing
        await asyncio.to_thread(self._journal.begin_anew)
        return None, self._parcels

    async def _find_missing(self, job_id: str) -> list[Parcel]:
        """Of all: only among them is it seen which ones share their name and size."""
        if not self._parcels:
            return []
        images = [
            image async for image in self._list_images(job_id) if image["source"]["kind"] != "url"
        ]
        begun_at = self._journal.begun_at
        return await asyncio.to_thread(_find_missing, self._parcels, images, begun_at)

    async def _check_limit(self, count: int) -> None:
        """Better no job at all than half of one. Raises ApiError, as the server would."""
        info = await self._connection.json("GET", "info", key="limits")
        most = info["limits"]["max_images_per_job"]
        if count > most:
            detail = f"A job takes at most {most} images."
            raise ApiError("too_many_images", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)

    async def _begin(self, submit: _Submit) -> Job:
        """The job as it is now: where an earlier try has made it, the answer is of that time."""
        await self._ask_for_one(submit)
        job, _ = await self._patience.insist(self._take_up)
        return job or await self._ask_for_one(submit)  # by another key

    async def _ask_for_one(self, submit: _Submit) -> Job:
        headers = {"Idempotency-Key": self._journal.key}
        job = await self._patience.insist(lambda: submit(headers=headers))
        await asyncio.to_thread(self._journal.note_job, job["id"])
        return job

    async def _close(self, job_id: str) -> Job:
        return await self._patience.insist(lambda: self._connection.job("POST", job_id, "close"))

    async def _send_groups(self, job_id: str, groups: Iterator[_Group]) -> None:
        for known_key, group in groups:
            key = known_key or await self._note_group(group)
            try:
                await self._insist_on(job_id, key, group)
            except ApiError as exc:
                if exc.code != "idempotency_mismatch":
                    raise
                await self._send_changed(job_id, key, group)
            self._under_way.pop(key, None)
            self._arrived_bytes += _size_of(group)
            self._tell()

    async def _note_group(self, group: Sequence[Parcel]) -> str:
        kinds = [parcel.kind for parcel in group]
        return await asyncio.to_thread(self._journal.note_group, kinds)

    async def _send_changed(self, job_id: str, key: str, group: Sequence[Parcel]) -> None:
        """Something else arrived with this key: a file was changed or removed since, or takes
        the place of another one of its name and size.
        """
        wanted = {id(parcel) for parcel in group}
        missing = [p for p in await self._find_missing(job_id) if id(p) in wanted]
        if missing:
            digests = await asyncio.to_thread(lambda: [parcel.sha256() for parcel in missing])
            again = hashlib.sha256("\n".join([key, *digests]).encode()).hexdigest()
            await self._insist_on(job_id, again, missing)

    async def _insist_on(self, job_id: str, key: str, group: Sequence[Parcel]) -> None:
        await self._patience.insist(lambda: self._send_group(job_id, key, group))

    async def _send_group(self, job_id: str, key: str, group: Sequence[Parcel]) -> None:
        headers = {"Idempotency-Key": key}
        await self._upload("jobs", job_id, "images", spec=None, parcels=group, headers=headers)

    async def _upload(
        self,
        *parts: str,
        spec: Mapping[str, Any] | None,
        parcels: Sequence[Parcel],
        headers: Mapping[str, str],
    ) -> Any:
        def tell(sent_bytes: int) -> None:
            self._under_way[headers["Idempotency-Key"]] = sent_bytes
            self._tell()

        body = MultipartBody(spec, [parcel.upload for parcel in parcels], tell)
        try:
            return await self._connection.upload(
                *parts,
                key="accepted",
                content_type=body.content_type,
                body=body.stream(),
                headers=headers,
            )
        except ClientError as exc:
            failure = body.failure or exc
            raise failure from failure.__cause__  # which says what is wrong with a file

    def _tell(self) -> None:
        if self._on_sent:
            self._on_sent(self._arrived_bytes + sum(self._under_way.values()))


def _size_of(parcels: Iterable[Parcel]) -> int:
    return sum(parcel.size_bytes for parcel in parcels)


def _make_parcel(image: Path | Upload) -> Parcel:
    upload = FileUpload(image, image.name) if isinstance(image, Path) else image
    stored_name = name_in_job(upload.name)
    if isinstance(upload, BytesUpload):
        return Parcel(upload, stored_name, len(upload.data), None)
    try:
        facts = upload.read_facts()
    except OSError as exc:
        raise LocalFileError(upload.path, exc.strerror or "it cannot be read") from exc
    return Parcel(upload, stored_name, facts.st_size, facts.st_mtime)


def check_readable(uploads: Iterable[Upload]) -> None:
    """Better no job at all than an empty one. A pipe can be opened once only; what has an opener
    was opened for its facts just now. Blocking. Raises LocalFileError, FilesUnreadable.
    """
    troubles = []
    for upload in uploads:
        if isinstance(upload, FileUpload) and upload.opener is None:
            try:
                with translating(upload.path):
                    if not upload.path.is_fifo():
                        upload.open().close()
            except LocalFileError as exc:
                troubles.append(exc)
    if len(troubles) > 1:
        raise FilesUnreadable(troubles)
    if troubles:
        raise troubles[0]


def _find_missing(
    parcels: Sequence[Parcel], images: Iterable[Image], begun_at: float
) -> list[Parcel]:
    """What is not among `images`, each of which accounts for one parcel. Blocking.

    Name and size decide; the bytes too where a file may have changed since the beginning, or
    others have the same name and size. An image that was refused on its way in has no digest.
    """
    alike = Counter(parcel.kind for parcel in parcels)
    arrived: dict[tuple[str, int | None], list[str | None]] = {}
    for image in images:
        facts = image["input"]
        arrived.setdefault((image["name"], facts["size_bytes"]), []).append(facts["sha256"])
    missing = []
    for parcel in parcels:
        digests = arrived.get(parcel.kind)
        is_old = parcel.changed_at is not None and parcel.changed_at < begun_at
        if not digests:
            missing.append(parcel)
        elif is_old and alike[parcel.kind] == 1:
            digests.pop()
        elif None in digests:
            digests.remove(None)
        elif (digest := parcel.sha256()) in digests:
            digests.remove(digest)
        else:
            missing.append(parcel)
    return missing


def _groups_of(
    missing: Sequence[Parcel], earlier: Mapping[str, Sequence[Kind]]
) -> Iterator[_Group]:
    """Groups of an earlier try are found again, whatever else is to be sent by now."""
    waiting: dict[Kind, list[Parcel]] = {}
    for parcel in reversed(missing):
        waiting.setdefault(parcel.kind, []).append(parcel)
    begun = [
        (key, [waiting[kind].pop() for kind in kinds if waiting.get(kind)])
        for key, kinds in earlier.items()
    ]
    left = {id(parcel) for parcels in waiting.values() for parcel in parcels}
    new = [parcel for parcel in missing if id(parcel) in left]
    yield from ((key, group) for key, group in begun if group)
    yield from ((None, group) for group in _split(new))


def _split(parcels: Sequence[Parcel]) -> Iterator[Sequence[Parcel]]:
    group: list[Parcel] = []
    for parcel in parcels:
        size_bytes = _size_of(group) + parcel.size_bytes
        if group and not fits_one_request(len(group) + 1, size_bytes):
            yield group
            group = []
        group.append(parcel)
    if group:
        yield group


async def _run_side_by_side(works: Iterable[Any]) -> None:
    """The first that fails ends the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
