"""Hostile files sent to a real server among good ones, and what became of all of them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from imgsvc.client import Client
from imgsvc.client.answers import Image, Job
from imgsvc.client.upload import BytesUpload
from tests.hostile.gauge import Gauge, Holdings, Peaks
from tests.hostile.mutator import Specimen
from tests.server_process import ServerProcess

RECIPE: dict[str, Any] = {
    "variants": [
        {"name": "picture", "width": 300, "height": 300, "metadata": "all"},
        {"name": "same", "format": "same", "width": 120, "height": 120, "metadata": "all"},
        {"name": "trimmed", "format": "jpeg", "width": 90, "trim": True, "metadata": "copyright"},
    ]
}
"""Pixels, all frames, metadata of every kind, and a second pass over the file."""

IMAGES_PER_JOB = 250
GOOD_EVERY = 10
SLACK_S = 2.0
"""From a deadline to the moment at which the image is final: killing, and the commit."""

WAITS = 3
"""Deadlines that an image which was killed may have been with its worker: others came first."""

MAX_GROWTH_BYTES = 48 << 20
MAX_WORKER_GROWTH_BYTES = 96 << 20
"""A worker may keep 80 MiB of what its largest picture took."""
MAX_MORE_HANDLES = 8

_FAULTS_OF_OURS = frozenset({"internal", "worker_crashed"})
_FINAL = frozenset({"completed", "failed", "cancelled"})


@dataclass
class Report:
    """endings: how many by `completed` or code; by_kind: the same for every kind of file.

    Where anything went wrong, the names: late (final after the deadline), unfinished, ours
    (`internal`, `worker_crashed`), spoilt (good images that did not become what they should).
    holdings: at the start, in the middle, at the end, each time with nothing to do.
    """

    files: int = 0
    good: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    ours: list[str] = field(default_factory=list)
    spoilt: list[str] = field(default_factory=list)
    holdings: list[Holdings] = field(default_factory=list)
    peaks: Peaks = field(default_factory=Peaks)
    slowest_s: float = 0.0

    @property
    def faults(self) -> list[str]:
        """What must not be, in a line each."""
        named = {"late": self.late, "unfinished": self.unfinished, "ours": self.ours,
                 "spoilt": self.spoilt}  # fmt: skip
        lines = [f"{what}: {name}" for what, names in named.items() for name in names]
        return lines + _growth(self.holdings)


@dataclass(frozen=True, slots=True)
class Terms:
    """timeout_s: for one image. patience_s: for one job, after which it counts as stuck.

    evidence: a folder for files that brought a fault of ours to light; None keeps none.
    """

    timeout_s: float = 5.0
    patience_s: float = 600.0
    workers: int = 4
    evidence: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def lay_siege(
    base: Path, specimens: Iterable[Specimen], good: Sequence[bytes], terms: Terms
) -> Report:
    """Send everything to a server of its own, with its data under `base`. Blocking."""
    own = {
        "IMGSVC_WORKERS__TIMEOUT_S": str(terms.timeout_s),
        "IMGSVC_LIMITS__MAX_IMAGE_BYTES": "256MiB",
    }
    server = ServerProcess(base / "data", workers=terms.workers, settings={**own, **terms.settings})
    try:
        siege = _Siege(server, list(good), terms)
        return asyncio.run(siege.run(list(specimens)))
    finally:
        server.stop()


class _Siege:
    def __init__(self, server: ServerProcess, good: list[bytes], terms: Terms) -> None:
        self._server = server
        self._good = good
        self._terms = terms
        self._gauge = Gauge(server.process.pid)
        self._peacetime: dict[str, str] = {}
        self._report = Report()

    async def run(self, specimens: list[Specimen]) -> Report:
        report = self._report
        async with Client(self._server.url, agent="siege") as client:
            await self._learn(client)
            report.holdings.append(self._gauge.read())
            middle = len(specimens) // 2
            with self._gauge.watching() as report.peaks:
                for half in (specimens[:middle], specimens[middle:]):
                    for job in _batches(half):
                        await self._attack(client, job)
                    await self._learn(client)  # every worker that was lost is there again
                    report.holdings.append(self._gauge.read())
        return report

    async def _learn(self, client: Client) -> None:
        """What becomes of the good images when they are alone. Later times are a test as well."""
        uploads = [BytesUpload(data, _good_name(n)) for n, data in enumerate(self._good)]
        job = await client.submit(uploads * 4, recipe=RECIPE, reuse=False)
        await self._wait(client, job)
        async for image in client.images(job["id"]):
            self._check_good(image)

    async def _attack(self, client: Client, specimens: Sequence[Specimen]) -> None:
        by_name = {specimen.name: specimen for specimen in specimens}
        job = await client.submit(self._mix(specimens), recipe=RECIPE, reuse=False)
        await self._wait(client, job)
        async for image in client.images(job["id"]):
            if (specimen := by_name.get(image["name"])) is None:
                self._check_good(image)
            else:
                self._note(image, specimen)
        await client.delete(job["id"])

    def _mix(self, specimens: Sequence[Specimen]) -> Iterator[BytesUpload]:
        good = cycle(enumerate(self._good))
        for number, specimen in enumerate(specimens):
            if number % GOOD_EVERY == 0:
                which, data = next(good)
                yield BytesUpload(data, _good_name(which))
            yield BytesUpload(specimen.data, specimen.name)

    async def _wait(self, client: Client, job: Job) -> None:
        try:
            async with asyncio.timeout(self._terms.patience_s):
                await client.wait(job["id"])
        except TimeoutError:
            return  # its images are found not to be final

    def _note(self, image: Image, specimen: Specimen) -> None:
        report = self._report
        report.files += 1
        if image["status"] not in _FINAL:
            report.unfinished.append(specimen.name)
            return
        error = image["error"]
        ending = error["code"] if error else image["status"]
        report.endings[ending] += 1
        report.by_kind.setdefault(specimen.kind, Counter())[ending] += 1
        report.codes[specimen.name] = ending
        if ending in _FAULTS_OF_OURS:
            report.ours.append(specimen.name)
            self._keep(specimen)
        took_s = _duration_s(image)
        report.slowest_s = max(report.slowest_s, took_s)
        if took_s > self._terms.timeout_s * (1 if image["duration_ms"] else WAITS) + SLACK_S:
            report.late.append(f"{specimen.name} ({took_s:.1f} s)")
            self._keep(specimen)

    def _check_good(self, image: Image) -> None:
        """Completed, and with the very bytes that it has had before."""
        self._report.good += 1
        made = json.dumps([output["sha256"] for output in image["outputs"]])
        expected = self._peacetime.setdefault(image["name"], made)
        if image["status"] != "completed" or made != expected:
            self._report.spoilt.append(f"{image['name']} {image['status']} {image['error']}")

    def _keep(self, specimen: Specimen) -> None:
        if self._terms.evidence is not None:
            self._terms.evidence.mkdir(parents=True, exist_ok=True)
            (self._terms.evidence / specimen.name).write_bytes(specimen.data)


def _good_name(number: int) -> str:
    return f"good-{number}"


def _batches(specimens: Sequence[Specimen]) -> Iterator[Sequence[Specimen]]:
    rest = iter(specimens)
    while batch := list(islice(rest, IMAGES_PER_JOB)):
        yield batch


def _duration_s(image: Image) -> float:
    """Of its last try: as its worker measured it, or else, for one that was killed, from when
    it was handed to its worker; 0 when none began.
    """
    if image["duration_ms"] is not None:
        return image["duration_ms"] / 1000
    began, ended = image["started_at"], image["finished_at"]
    if began is None or ended is None:
        return 0.0
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def _growth(holdings: Sequence[Holdings]) -> list[str]:
    """From the first look, after which everything had run once, to the last."""
    if not holdings:
        return []
    first, last = holdings[0], holdings[-1]
    grown = []
    if last.server_bytes - first.server_bytes > MAX_GROWTH_BYTES:
        grown.append(f"memory of the server: {first.server_bytes} -> {last.server_bytes}")
    if last.worker_bytes - first.worker_bytes > MAX_WORKER_GROWTH_BYTES:
        grown.append(f"memory of a worker: {first.worker_bytes} -> {last.worker_bytes}")
    if last.server_handles - first.server_handles > MAX_MORE_HANDLES:
        grown.append(f"handles of the server: {first.server_handles} -> {last.server_handles}")
    if last.worker_handles - first.worker_handles > MAX_MORE_HANDLES:
        grown.append(f"handles of a worker: {first.worker_handles} -> {last.worker_handles}")
    return grown
