"""An archive of more than the 65 535 entries that a plain ZIP can hold."""

from __future__ import annotations

import asyncio
import http.client
import re
import shutil
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.domain.ids import new_id
from imgsvc.domain.image import NewImage, SourceKind
from imgsvc.domain.job import NewJob
from imgsvc.domain.rendering import InputFacts, OutputFacts, Rendered
from imgsvc.domain.states import Priority
from imgsvc.store.images import ImageResult
from imgsvc.store.store import Store
from tests.server_process import ServerProcess

IMAGES, VARIANTS = 2100, 32
"""67 200 outputs."""
TINY = b"RIFF a tiny file"
FACTS = InputFacts("jpeg", 10, 10, 1)
NAMES = ["fjord/日本 - {}.jpg", "ελληνικά {}.png", "🙂 {}.jpg"]


async def _make_job(data_dir: Path) -> str:
    """A finished job, put together without rendering."""
    data_dir.mkdir()
    store = await Store.open(data_dir / "imgsvc.db")
    blobs = BlobStore(data_dir)
    await blobs.prepare()
    variants = ",".join(f'{{"name":"v{n:02}"}}' for n in range(VARIANTS))
    job = NewJob(
        id=new_id(), recipe=f'{{"variants":[{variants}]}}', preset=None, label=None,
        priority=Priority.NORMAL, source="api", open=False, hidden=False, retain_s=0,
    )  # fmt: skip
    images = [
        NewImage(new_id(), NAMES[n % len(NAMES)].format(n), SourceKind.UPLOAD, 1, "0" * 64)
        for n in range(IMAGES)
    ]
    await store.create_job(job, images, 1)
    await blobs.stage(job.id).sync()
    results = []
    for image in await store.claim_images([(job.id, IMAGES)], 2):
        outputs = tuple(
            OutputFacts(f"v{n:02}", "webp", 1, 1, 1, len(TINY), "0" * 64) for n in range(VARIANTS)
        )
        results.append(ImageResult(image.key, Rendered(FACTS, outputs, (), 1)))
        await asyncio.to_thread(_write_outputs, blobs, job.id, image.id)
    await store.finish_images(results, 3)
    await store.close()
    blobs.close()
    return job.id


def _write_outputs(blobs: BlobStore, job_id: str, image_id: str) -> None:
    """Links to one file for each image: writing them all would take its time."""
    first = blobs.output_path(job_id, image_id, 1, "v00", "webp")
    first.write_bytes(TINY)
    for number in range(1, VARIANTS):
        blobs.output_path(job_id, image_id, 1, f"v{number:02}", "webp").hardlink_to(first)


def _download(url: str, path: str, target: Path) -> int:
    """Save a resource; returns what Content-Length said."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    with target.open("wb") as file:
        shutil.copyfileobj(answer, file)
    connection.close()
    return int(answer.headers["Content-Length"])


def _peak_bytes(pid: int) -> int:
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1]) * 1024


def test_an_archive_may_have_any_number_of_entries(tmp_path: Path) -> None:
    job_id = asyncio.run(_make_job(tmp_path / "data"))
    server = ServerProcess(tmp_path / "data", workers=1)
    try:
        before_bytes = _peak_bytes(server.process.pid)
        url = f"/api/v1/jobs/{job_id}/archive.zip"
        length = _download(server.url, url, tmp_path / "all.zip")
        assert _peak_bytes(server.process.pid) - before_bytes < 64 << 20
        assert length == (tmp_path / "all.zip").stat().st_size
        with zipfile.ZipFile(tmp_path / "all.zip") as archive:
            entries = archive.infolist()
            assert len({entry.filename for entry in entries}) == len(entries) == IMAGES * VARIANTS
            assert entries[0].filename == "fjord/日本 - 0-v00.webp"
            assert archive.read(entries[0]) == archive.read(entries[-1]) == TINY  # sums as well
        _download(server.url, f"{url}?variant=v31", tmp_path / "one.zip")
        with zipfile.ZipFile(tmp_path / "one.zip") as archive:
            assert len(archive.namelist()) == IMAGES
            assert archive.testzip() is None
    finally:
        server.stop()
