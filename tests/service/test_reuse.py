"""The same bytes with the same variant are made once, whoever asks for them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json, make_settings, running_server, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = {"name": "small", "width": 16, "format": "png"}
LARGE = {"name": "large", "width": 32, "format": "webp"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    settings = make_settings(tmp_path_factory.mktemp("data"), workers={"size": 2})
    async with running_server(settings) as running:
        yield running


def _picture(seed: int) -> bytes:
    return make_jpeg(64 + seed, 48)


def _spec(*variants: dict[str, Any], **fields: Any) -> str:
    return json.dumps({"recipe": {"variants": variants}, **fields})


async def _images(server: Running, job: dict[str, Any]) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = (await get_json(server, job["links"]["images"]))["items"]
    return images


async def _outputs(server: Running, job: dict[str, Any]) -> list[tuple[str, bool]]:
    images = await _images(server, job)
    return [(o["variant"], o["reused"]) for image in images for o in image["outputs"]]


def _files(server: Running, job: dict[str, Any]) -> list[Path]:
    return list((server.core.settings.storage.data_dir / "jobs" / job["id"] / "out").iterdir())


async def _download(server: Running, output: dict[str, Any]) -> bytes:
    async with server.http.get(output["url"]) as answer:
        assert answer.status == 200
        return await answer.read()


async def test_a_later_job_gets_links_to_what_is_there(server: Running) -> None:
    picture = _picture(1)
    first = await submit(server, ("a.jpg", picture), spec=_spec(SMALL, LARGE))
    second = await submit(server, ("b.jpg", picture), spec=_spec(SMALL, LARGE))
    assert await _outputs(server, first) == [("small", False), ("large", False)]
    assert await _outputs(server, second) == [("small", True), ("large", True)]
    inodes = [{path.stat().st_ino for path in _files(server, job)} for job in (first, second)]
    assert inodes[0] == inodes[1]
    one, two = (await _images(server, first))[0], (await _images(server, second))[0]
    assert two["input"] == one["input"]
    for before, after in zip(one["outputs"], two["outputs"], strict=True):
        assert {**after, "reused": False, "url": before["url"]} == before
        assert await _download(server, after) == await _download(server, before)
    assert (two["status"], two["attempts"], two["duration_ms"]) == ("completed", 1, 0)


async def test_equal_images_of_one_job_are_made_once(server: Running) -> None:
    picture = _picture(2)
    files = [(f"{n}.jpg", picture) for n in range(40)]
    job = await submit(server, *files, spec=_spec(SMALL, LARGE))
    assert job["completed"] == 40
    reused = [is_reused for _, is_reused in await _outputs(server, job)]
    assert (reused.count(False), reused.count(True)) == (2, 78)


async def test_equal_images_of_jobs_that_run_at_once_are_made_once(server: Running) -> None:
    files = [(f"{n}.jpg", _picture(3)) for n in range(5)]
    jobs = await asyncio.gather(*(submit(server, *files, spec=_spec(SMALL)) for _ in range(6)))
    reused = [flag for job in jobs for _, flag in await _outputs(server, job)]
    assert (reused.count(False), reused.count(True)) == (1, 29)


async def test_single_variants_are_taken_over_whatever_they_are_called(server: Running) -> None:
    picture = _picture(4)
    await submit(server, ("a.jpg", picture), spec=_spec(SMALL, LARGE))
    other = [
        {**LARGE, "name": "first", "quality": 50},
        {**SMALL, "name": "second"},
        {**LARGE, "name": "third"},
    ]
    job = await submit(server, ("a.jpg", picture), spec=_spec(*other))
    assert await _outputs(server, job) == [("first", False), ("second", True), ("third", True)]
    async with server.http.get(job["links"]["archive"]) as answer:
        assert answer.status == 200


async def test_warnings_follow_the_variants_they_are_about(server: Running) -> None:
    picture = _picture(5)
    too_large = {"width": 5000, "format": "png"}
    await submit(server, ("a.jpg", picture), spec=_spec(SMALL, {**too_large, "name": "x"}))
    recipe = _spec({**SMALL, "name": "a"}, {**too_large, "name": "b"}, {**too_large, "name": "c"})
    job = await submit(server, ("a.jpg", picture), spec=recipe)
    (image,) = await _images(server, job)
    assert [w["code"] for w in image["warnings"]] == ["not_enlarged"]
    assert image["warnings"][0]["message"].endswith(": b, c")
    plain = await submit(server, ("a.jpg", picture), spec=_spec(SMALL))
    assert (await _images(server, plain))[0]["warnings"] == []


@pytest.mark.parametrize(
    "other", [{**SMALL, "quality": 50}, {**SMALL, "width": 17}, {**SMALL, "format": "jpeg"}]
)
async def test_another_variant_is_made_anew(server: Running, other: dict[str, Any]) -> None:
    picture = _picture(6)
    await submit(server, ("a.jpg", picture), spec=_spec(SMALL))
    job = await submit(server, ("a.jpg", picture), spec=_spec(other))
    assert await _outputs(server, job) == [("small", False)]


async def test_reuse_can_be_switched_off(server: Running) -> None:
    files = [(f"{n}.jpg", _picture(7)) for n in range(3)]
    await submit(server, *files, spec=_spec(SMALL))
    job = await submit(server, *files, spec=_spec(SMALL, reuse=False))
    assert await _outputs(server, job) == [("small", False)] * 3
    assert len({path.stat().st_ino for path in _files(server, job)}) == 3


async def test_what_was_taken_over_outlives_the_job_it_came_from(server: Running) -> None:
    picture = _picture(8)
    first = await submit(server, ("a.jpg", picture), spec=_spec(SMALL))
    second = await submit(server, ("a.jpg", picture), spec=_spec(SMALL))
    async with server.http.delete(first["links"]["self"]) as answer:
        assert answer.status == 204
    (image,) = await _images(server, second)
    assert (await _download(server, image["outputs"][0]))[:4] == b"\x89PNG"
    third = await submit(server, ("a.jpg", picture), spec=_spec(SMALL))
    assert await _outputs(server, third) == [("small", True)]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"x")])
async def test_an_output_that_is_gone_or_damaged_is_made_anew(
    server: Running, damage: Callable[[Path], None]
) -> None:
    picture = make_jpeg(50, 48 if damage is Path.unlink else 49)
    first = await submit(server, ("a.jpg", picture), spec=_spec(SMALL, LARGE))
    for path in _files(server, first):
        damage(path)
    files = [(f"{n}.jpg", picture) for n in range(4)]
    job = await submit(server, *files, spec=_spec(SMALL, LARGE))
    assert job["completed"] == 4
    for image in await _images(server, job):
        assert image["attempts"] == 1
        for output in image["outputs"]:
            content = await _download(server, output)
            assert hashlib.sha256(content).hexdigest() == output["sha256"]


async def test_jobs_deleted_while_others_take_over_from_them_hurt_nobody(server: Running) -> None:
    files = [(f"{n}.jpg", _picture(20 + n)) for n in range(10)]

    async def submit_and_delete() -> None:
        job = await submit(server, *files, spec=_spec(SMALL, LARGE))
        assert job["completed"] == 10
        for image in await _images(server, job):
            for output in image["outputs"]:
                assert len(await _download(server, output)) == output["size_bytes"]
        async with server.http.delete(job["links"]["self"]) as answer:
            assert answer.status == 204

    async def repeat() -> None:
        for _ in range(6):
            await submit_and_delete()

    await asyncio.gather(*(repeat() for _ in range(4)))


async def test_equal_images_that_cannot_be_read_fail_each_for_itself(server: Running) -> None:
    files = [(f"{n}.jpg", _picture(10)[:200]) for n in range(12)]
    job = await submit(server, *files, spec=_spec(SMALL))
    assert job["failed"] == 12
    images = await _images(server, job)
    assert {image["error"]["code"] for image in images} == {"corrupt_image"}


async def test_a_job_of_equal_images_can_be_cancelled_and_tried_again(server: Running) -> None:
    files = [(f"{n}.jpg", make_jpeg(1500, 1500)) for n in range(30)]
    form = form_of(*files, spec=_spec(SMALL))
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job = await answer.json()
    async with server.http.post(f"{job['links']['self']}/cancel") as answer:
        assert answer.status == 200
    async with server.http.post(f"{job['links']['self']}/retry") as answer:
        assert answer.status == 200
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        last = [json.loads(message.data) async for message in socket][-1]
    assert (last["type"], last["job"]["completed"]) == ("end", 30)
