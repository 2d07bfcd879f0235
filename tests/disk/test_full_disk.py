"""A disk that is full in each of the places where something is written, and has space again."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from PIL import Image

from imgsvc.blobs.ballast import SIZE_BYTES
from imgsvc.blobs.blob_store import BlobStore
from imgsvc.domain.ids import new_id
from imgsvc.errors import StorageFull
from tests.disk.conftest import RESERVE_BYTES, keeps_ballast, serve_on
from tests.disk.small_disk import FILLER, SmallDisk, small_disk
from tests.fetching.hosts import answer, running_host
from tests.pictures import encode, make_jpeg
from tests.server_process import NotListening, ServerProcess
from tests.servers import form_of

NO_RESERVE = {"IMGSVC_STORAGE__RESERVE_BYTES": "0"}
PNG = json.dumps({"recipe": {"variants": [{"name": "large", "format": "png"}]}})


def make_noise(side: int, format_: str = "JPEG", **options: Any) -> bytes:
    """A picture that hardly packs: as PNG it has about 3 bytes a pixel."""
    pixels = random.Random(side).randbytes(side * side * 3)  # noqa: S311 - no secret
    return encode(Image.frombytes("RGB", (side, side), pixels), format_, **options)


async def call(
    http: aiohttp.ClientSession, method: str, path: str, status: int, **options: Any
) -> Any:
    """The answer's document; None when it has none."""
    async with http.request(method, path, **options) as reply:
        body = await reply.read()
        assert reply.status == status, body
        return json.loads(body) if "json" in reply.content_type else None


async def submit(http: aiohttp.ClientSession, *files: tuple[str, bytes], **fields: str) -> Any:
    return await call(http, "POST", "/api/v1/jobs", 202, data=form_of(*files, **fields))


async def refused(http: aiohttp.ClientSession, method: str, path: str, **options: Any) -> None:
    """For want of space."""
    problem = await call(http, method, path, 507, **options)
    assert problem["code"] == "storage_full"


async def follow(
    http: aiohttp.ClientSession, job: dict[str, Any], wanted: Callable[[Any], bool]
) -> dict[str, Any]:
    """The first message of the job for which `wanted` holds."""
    async with http.ws_connect(job["links"]["events"]) as socket:
        async for message in socket:
            document: dict[str, Any] = json.loads(message.data)
            if wanted(document):
                return document
    raise AssertionError("it never came")


async def completed(http: aiohttp.ClientSession, job: dict[str, Any]) -> list[Any]:
    """Its images; every file is what its sha256 says."""
    last = await follow(http, job, lambda message: message["type"] == "end")
    assert last["job"]["status"] == "completed", last
    images = (await call(http, "GET", job["links"]["images"], 200))["items"]
    for output in (output for image in images for output in image["outputs"]):
        async with http.get(output["url"]) as reply:
            assert hashlib.sha256(await reply.read()).hexdigest() == output["sha256"]
    return list(images)


def waits_for_space(message: dict[str, Any]) -> bool:
    error = message["type"] == "image" and message["image"]["last_error"]
    return bool(error) and error["code"] == "storage_full"


def waits_with_every_attempt_left(message: dict[str, Any]) -> bool:
    return waits_for_space(message) and message["image"]["attempts"] == 0


async def ready_again(http: aiohttp.ClientSession) -> None:
    assert await call(http, "GET", "/readyz", 200) == {"status": "ok"}


def job_folders(disk: SmallDisk) -> list[str]:
    return [path.name for path in (disk.outside / "data" / "jobs").iterdir()]


async def test_below_the_reserve_nothing_is_accepted_and_above_it_all_goes_on(
    disk: SmallDisk, http: aiohttp.ClientSession
) -> None:
    disk.fill(RESERVE_BYTES - 4096)
    photo = make_jpeg(30, 20)
    await refused(http, "POST", "/api/v1/jobs", data=form_of(("a.jpg", photo)))
    await refused(http, "POST", "/api/v1/render?preset=thumbnail", data=photo)
    await refused(http, "POST", "/upload", data=form_of(("a.jpg", photo)))
    problems = (await call(http, "GET", "/readyz", 503))["problems"]
    assert problems == ["storage_full"]
    assert job_folders(disk) == []
    disk.clear()
    await ready_again(http)
    await completed(http, await submit(http, ("a.jpg", photo)))


@pytest.mark.parametrize("form", ["multipart", "image", "json"])
async def test_an_upload_that_fills_the_disk_is_refused_and_leaves_nothing(
    disk: SmallDisk, http: aiohttp.ClientSession, form: str
) -> None:
    before = disk.free_bytes()
    content = random.Random(1).randbytes(4 << 20)  # noqa: S311 - no secret
    reached = asyncio.Event()

    async def arriving(*parts: bytes) -> AsyncIterator[bytes]:
        yield parts[0]
        for start in range(0, len(content), 1 << 16):
            if start == 1 << 20:
                disk.fill(1 << 16)
                reached.set()
            yield content[start : start + (1 << 16)]
        yield parts[1]

    if form == "multipart":
        head = (
            b'--edge\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"\r\n\r\n',
            b"\r\n--edge--\r\n",
        )
        kind = "multipart/form-data; boundary=edge"
    elif form == "image":
        head, kind = (b"", b""), "image/jpeg"
    else:
        head, kind = (b'{"images":[{"data":"', b'"}]}'), "application/json"
        content = b"A" * len(content)
    await refused(
        http, "POST", "/api/v1/jobs", data=arriving(*head), headers={"Content-Type": kind}
    )
    assert reached.is_set()
    assert job_folders(disk) == []
    disk.clear()
    # The log of the database may have grown, and the space been taken that is kept aside.
    assert before - disk.free_bytes() < SIZE_BYTES + (1 << 20)
    await completed(http, await submit(http, ("a.jpg", make_jpeg(30, 20))))


async def test_images_whose_outputs_find_no_space_wait_for_it_and_lose_no_attempt(
    disk: SmallDisk, http: aiohttp.ClientSession
) -> None:
    noise = make_noise(1200, quality=30)
    disk.fill(RESERVE_BYTES + len(noise) + (1 << 18))
    job = await submit(http, ("a.jpg", noise), spec=PNG)
    message = await follow(http, job, waits_for_space)
    assert message["image"]["status"] in {"pending", "processing"}
    disk.clear()
    (image,) = await completed(http, job)
    assert image["attempts"] == 1
    assert image["outputs"][0]["size_bytes"] > 4 << 20


async def test_while_the_database_cannot_be_written_it_says_so_and_then_goes_on(
    disk: SmallDisk, http: aiohttp.ClientSession
) -> None:
    job = await submit(http, ("a.jpg", make_jpeg(30, 20)))
    await completed(http, job)
    preset = {"variants": [{"name": "small", "width": 10}]}
    problem = None
    disk.fill()
    for number in range(2000):  # what the log of the database holds already is written anew
        path = f"/api/v1/presets/full-{number}"
        async with http.put(path, json=preset) as reply:
            if reply.status != 201:
                problem = await reply.json()
                break
    assert problem is not None
    assert problem["code"] == "storage_full"
    await call(http, "GET", path, 404)
    await completed(http, job)
    problems = (await call(http, "GET", "/readyz", 503))["problems"]
    assert "storage_full" in problems
    disk.clear()
    await ready_again(http)
    await call(http, "PUT", path, 201, json=preset)
    for earlier in range(number + 1):
        await call(http, "DELETE", f"/api/v1/presets/full-{earlier}", 204)


async def test_a_job_can_be_deleted_when_there_is_no_space_at_all(
    disk: SmallDisk, http: aiohttp.ClientSession
) -> None:
    job = await submit(http, *((f"{n}.jpg", make_noise(200)) for n in range(5)))
    await completed(http, job)
    disk.fill()
    await call(http, "DELETE", job["links"]["self"], 204)
    await call(http, "GET", job["links"]["self"], 404)
    assert job_folders(disk) == []
    assert disk.free_bytes() > 0


@dataclass
class Mortal:
    """A server with a finished job, on a small disk of its own."""

    disk: SmallDisk
    server: ServerProcess
    job: dict[str, Any]

    def die(self) -> None:
        """On a full disk, and start again."""
        self.disk.fill()
        self.server.kill()
        self.server = serve_on(self.disk, **NO_RESERVE)


@pytest.fixture
async def mortal(tmp_path: Path) -> AsyncIterator[Mortal]:
    with small_disk(tmp_path / "disk", size="8m") as disk:
        mortal = Mortal(disk, serve_on(disk, **NO_RESERVE), {})
        try:
            async with aiohttp.ClientSession(base_url=mortal.server.url) as http:
                mortal.job = await submit(http, ("a.jpg", make_jpeg(30, 20)))
                await completed(http, mortal.job)
            await keeps_ballast(disk)
            yield mortal
        finally:
            mortal.server.stop()


async def test_a_server_that_died_on_a_full_disk_starts_again_so_that_jobs_can_be_deleted(
    mortal: Mortal,
) -> None:
    disk, job = mortal.disk, mortal.job
    mortal.die()
    async with aiohttp.ClientSession(base_url=mortal.server.url) as http:
        await completed(http, job)
        assert disk.free_bytes() > 0
        form = form_of(("b.jpg", make_jpeg(20, 20)))
        await refused(http, "POST", "/api/v1/jobs", data=form)
        problems = (await call(http, "GET", "/readyz", 503))["problems"]
        assert problems == ["storage_full"]
        await call(http, "DELETE", job["links"]["self"], 204)
        disk.clear()
        await completed(http, await submit(http, ("b.jpg", make_jpeg(20, 20))))
        await keeps_ballast(disk)


async def test_a_server_that_dies_on_a_full_disk_again_and_again_starts_each_time(
    mortal: Mortal,
) -> None:
    """The first start has the space that was kept aside, which others take before the next."""
    for _ in range(3):
        mortal.die()
    async with aiohttp.ClientSession(base_url=mortal.server.url) as http:
        await completed(http, mortal.job)


async def test_a_zip_needs_no_space(disk: SmallDisk, http: aiohttp.ClientSession) -> None:
    job = await submit(http, ("a.jpg", make_jpeg(30, 20)), preset="thumbnail")
    (image,) = await completed(http, job)
    disk.fill()
    async with http.get(job["links"]["archive"]) as reply:
        archive = zipfile.ZipFile(io.BytesIO(await reply.read()))
    digest = hashlib.sha256(archive.read("a.webp")).hexdigest()
    assert digest == image["outputs"][0]["sha256"]


async def test_what_is_fetched_waits_for_space(
    disk: SmallDisk, http: aiohttp.ClientSession
) -> None:
    noise = make_noise(1200, quality=95)
    async with running_host() as host:
        host.answers["/a.jpg"] = answer(noise)
        disk.fill(RESERVE_BYTES + len(noise) // 3)
        spec = {"images": [{"url": host.url("/a.jpg")}], "preset": "thumbnail"}
        job = await call(http, "POST", "/api/v1/jobs", 202, json=spec)
        await follow(http, job, waits_with_every_attempt_left)  # it is tried now and then
        disk.clear()
        (image,) = await completed(http, job)
        assert image["attempts"] == 1


async def test_a_backup_that_finds_no_space_is_refused_and_leaves_nothing(
    disk: SmallDisk, http: aiohttp.ClientSession
) -> None:
    await completed(http, await submit(http, ("a.jpg", make_jpeg(30, 20))))
    disk.fill(64 << 10)
    problem = await call(http, "POST", "/api/v1/backup", 507)
    assert "disk of the data folder" in problem["detail"]
    assert not list((disk.outside / "data").glob("backup*"))
    assert not list((disk.outside / "data").glob(".backup*"))
    disk.clear()
    async with http.post("/api/v1/backup") as reply:
        assert zipfile.ZipFile(io.BytesIO(await reply.read())).testzip() is None


def test_a_backup_to_a_full_disk_names_it_and_leaves_nothing(tmp_path: Path) -> None:
    """On a disk of its own: a server gives space back when it is idle and cuts its log."""
    ServerProcess(tmp_path / "data").stop()
    with small_disk(tmp_path / "disk", size="1m") as disk:
        file = disk.path / "all.zip"
        disk.fill()
        command = [*disk.enter, sys.executable, "-m", "imgsvc", "backup", str(file)]
        made = subprocess.run(
            [*command, "--data", str(tmp_path / "data")],
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert made.returncode == 2
        assert f"{file}: No space left on device" in made.stderr
        assert [path.name for path in disk.outside.iterdir()] == [FILLER]


def test_a_run_that_waits_for_space_says_so_once_and_once_when_it_goes_on(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(json.loads(PNG)["recipe"]))
    photo = tmp_path / "a.jpg"
    photo.write_bytes(make_noise(1200, quality=30))
    with small_disk(tmp_path / "disk", size="8m") as disk:
        disk.fill(3 << 20)
        command = [*disk.enter, sys.executable, "-m", "imgsvc", "run", str(photo), "--workers=1"]
        with subprocess.Popen(
            [*command, f"--out={disk.path}", f"--recipe={recipe}"],
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            try:
                assert running.stderr is not None
                said = running.stderr.readline()
                disk.clear()
                over, done = running.communicate(timeout=40)[1].splitlines()
            finally:
                running.kill()
        assert said.startswith(f"{disk.path}: There is not enough free disk space. Waiting")
        assert running.returncode == 0
        assert over == "Files can be written again."
        assert done.startswith("1 image done")


async def test_when_there_is_no_place_for_another_file_submits_are_refused_as_well(
    tmp_path: Any,
) -> None:
    with small_disk(tmp_path / "disk", inodes=300) as disk:
        server = serve_on(disk)
        try:
            async with aiohttp.ClientSession(base_url=server.url) as http:
                job = await submit(http, ("a.jpg", make_jpeg(30, 20)))
                await completed(http, job)
                disk.fill_inodes()
                await refused(http, "POST", "/api/v1/jobs", data=form_of(("a", make_jpeg())))
                await call(http, "GET", "/readyz", 503)
                await _lose_worker(http, server)
                await call(http, "DELETE", job["links"]["self"], 204)
                disk.clear()
                await ready_again(http)
                job = await submit(http, ("a.jpg", make_jpeg(30, 20)))
                await completed(http, job)
                disk.fill()  # its files are too small to make room for their own end
                await call(http, "DELETE", job["links"]["self"], 204)
        finally:
            server.stop()


def _workers(server: ServerProcess) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if "multiprocessing.spawn" in _command(child)]


def _command(process: psutil.Process) -> str:
    """Empty when it is gone, or dead and not buried."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


async def _lose_worker(http: aiohttp.ClientSession, server: ServerProcess) -> None:
    """Kill it, and wait until another one is there."""
    (worker,) = _workers(server)
    worker.kill()
    while worker in _workers(server):  # noqa: ASYNC110 - nothing tells of its funeral
        await asyncio.sleep(0)
    while (await call(http, "GET", "/api/v1/info", 200))["workers"]["idle"] != 1:
        pass


@pytest.mark.parametrize(
    ("is_new", "left_bytes"), [(True, 0), (True, 20_000), (True, 60_000), (False, 0), (False, 4096)]
)
def test_a_start_on_a_full_disk_says_so_and_a_later_one_goes_well(
    tmp_path: Any, is_new: bool, left_bytes: int
) -> None:
    """It may be the lock, the database, its log's index or its schema that finds no space."""
    with small_disk(tmp_path / "disk", size="4m") as disk:
        if not is_new:
            ServerProcess(disk.path / "data", within=disk.enter).stop()
            (disk.outside / "data" / "ballast").unlink(missing_ok=True)
        disk.fill(left_bytes)
        command = [*disk.enter, sys.executable, "-m", "imgsvc", "serve", "--port=0"]
        result = subprocess.run(
            [*command, f"--data={disk.path / 'data'}"],
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert "Traceback" not in result.stderr
        assert result.returncode == 2
        assert re.search("Free some.* and start again", result.stderr), result.stderr
        assert len(result.stderr.splitlines()) <= 2
        disk.clear()
        ServerProcess(disk.path / "data", within=disk.enter).stop()


async def test_a_disk_that_is_mounted_read_only_refuses_uploads_and_a_start(tmp_path: Any) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ServerProcess(disk.path / "data", within=disk.enter).stop()
        disk.mount_read_only()
        blobs = BlobStore(disk.outside / "data")
        file = blobs.stage(new_id()).new_file()
        await file.write(b"a photo")
        with pytest.raises(StorageFull, match="read-only"):
            await file.finish()
        blobs.close()
        with pytest.raises(NotListening, match="mounted read-only") as caught:
            ServerProcess(disk.path / "data", within=disk.enter)
        assert caught.value.returncode == 2
