"""What the record of an image says of its picture."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from PIL import Image

from tests.pictures import encode, make_jpeg, make_plain_png, make_sprite_png
from tests.servers import Running, form_of, get_json, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _analyses(server: Running, job: dict[str, Any]) -> list[dict[str, Any] | None]:
    page = await get_json(server, job["links"]["images"])
    return [image["analysis"] for image in page["items"]]


async def test_every_completed_image_has_an_analysis(server: Running) -> None:
    files = [("blue.png", make_plain_png((10, 60, 200))), ("sprite.png", make_sprite_png())]
    job = await submit(server, *files, ("broken.jpg", make_jpeg()[:100]))
    blue, sprite, broken = await _analyses(server, job)
    assert blue is not None
    assert (blue["dominant_colour"], blue["has_alpha"]) == ("#0a3cc8", False)
    assert sprite is not None
    assert (sprite["dominant_colour"], sprite["has_alpha"]) == ("#ff0000", True)
    assert broken is None
    for analysis in (blue, sprite):
        assert set(analysis) == {"dominant_colour", "has_alpha", "thumbhash"}
        assert 14 <= len(b64decode(analysis["thumbhash"], validate=True)) <= 26
    alone = await get_json(server, f"{job['links']['images']}/0")
    assert alone["analysis"] == blue


@pytest.mark.parametrize("reuse", [True, False])
async def test_it_can_be_switched_off(server: Running, reuse: bool) -> None:
    files = [("a.jpg", make_jpeg(70, 50)), ("b.jpg", make_jpeg(70, 50))]
    job = await submit(server, *files, spec=json.dumps({"analyze": False, "reuse": reuse}))
    assert job["completed"] == 2
    assert await _analyses(server, job) == [None, None]


async def test_it_can_be_switched_off_in_every_form_of_a_submit(server: Running) -> None:
    picture = make_jpeg(71, 50)
    document = {"images": [{"data": b64encode(picture).decode()}], "analyze": False}
    forms: list[dict[str, Any]] = [
        {"json": document},
        {"data": picture, "params": {"analyze": "off"}, "headers": {"Content-Type": "image/jpeg"}},
    ]
    for form in forms:
        headers = {"Prefer": "wait=30", **form.pop("headers", {})}
        async with server.http.post("/api/v1/jobs", headers=headers, **form) as answer:
            assert answer.status == 200
            assert await _analyses(server, await answer.json()) == [None]


async def test_images_of_an_open_job_follow_its_wish(server: Running) -> None:
    for analyze in (True, False):
        spec = {"open": True, "analyze": analyze, "reuse": False}
        async with server.http.post("/api/v1/jobs", json=spec) as answer:
            job = await answer.json()
        form = form_of(("a.jpg", make_jpeg(72, 50)))
        async with server.http.post(job["links"]["images"], data=form) as answer:
            assert answer.status == 202
        async with server.http.post(f"{job['links']['self']}/close") as answer:
            assert answer.status == 200
        async with server.http.ws_connect(job["links"]["events"]) as socket:
            last = [json.loads(message.data) async for message in socket][-1]
        assert last["job"]["completed"] == 1
        assert [bool(analysis) for analysis in await _analyses(server, job)] == [analyze]


async def test_readers_of_the_progress_get_it(server: Running) -> None:
    form = form_of(*[(f"{n}.jpg", make_jpeg(300 + n, 200)) for n in range(6)])
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job = await answer.json()
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        messages = [json.loads(message.data) async for message in socket]
    images = [message["image"] for message in messages if message["type"] == "image"]
    assert images[-1]["status"] == "completed"
    assert all((i["analysis"] is not None) == (i["status"] == "completed") for i in images)


def _spotted() -> bytes:
    """Blue, with a red corner."""
    picture = Image.new("RGB", (400, 400), (0, 0, 250))
    picture.paste((250, 0, 0), (0, 0, 40, 40))
    return encode(picture, "PNG")


CORNER = {"name": "corner", "crop": {"left": 0, "top": 0, "width": 40, "height": 40}}


async def test_it_is_about_the_whole_picture_whatever_is_made_of_it(server: Running) -> None:
    spec = json.dumps({"recipe": {"variants": [CORNER]}, "reuse": False})
    (analysis,) = await _analyses(server, await submit(server, ("a.png", _spotted()), spec=spec))
    assert analysis is not None
    assert analysis["dominant_colour"] == "#0000fa"


async def test_what_is_partly_reused_keeps_the_analysis_that_is_there(server: Running) -> None:
    found = []
    for variants in ([{"name": "all"}], [{"name": "all"}, CORNER]):
        spec = json.dumps({"recipe": {"variants": variants}})
        job = await submit(server, ("a.png", _spotted()), spec=spec)
        found += await _analyses(server, job)
    assert found[0] == found[1] is not None
