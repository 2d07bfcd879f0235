"""Watermarks: kept by name, pinned by content."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgsvc.domain.times import now_ms
from imgsvc.errors import InvalidRecipe, InvalidRequest
from imgsvc.intake.spec import parse_spec
from imgsvc.service import watermarks as watermarks_module
from imgsvc.service.watermarks import KEPT_PINNED_MS, MAX_BYTES
from tests.pictures import encode, make_jpeg, make_png
from tests.servers import Running, form_of, get_json, make_settings, running_server, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

RED, BLUE = (250, 0, 0), (0, 0, 250)
PHOTO = make_jpeg(200, 100)
HERE = "/api/v1/watermarks"


def plain(colour: tuple[int, ...], size: tuple[int, int] = (20, 10)) -> bytes:
    return encode(Image.new("RGB", size, colour), "PNG")


def recipe(name: str, **fields: Any) -> dict[str, Any]:
    mark = {"preset_image": name, "opacity": 1, "gravity": "centre", "scale": 0.5, **fields}
    return {"variants": [{"name": "v", "format": "png", "watermark": mark}]}


def spec(name: str, **fields: Any) -> str:
    return json.dumps({"recipe": recipe(name), **fields})


async def put(server: Running, name: str, picture: bytes, **options: Any) -> tuple[int, Any]:
    async with server.http.put(f"{HERE}/{name}", data=BytesIO(picture), **options) as answer:
        return answer.status, await answer.json()


async def delete(server: Running, name: str) -> int:
    async with server.http.delete(f"{HERE}/{name}") as answer:
        return answer.status


async def colour_of(server: Running, job: dict[str, Any]) -> Any:
    """In the middle of the only output."""
    path = f"{job['links']['images']}/0/outputs/v"
    async with server.http.get(path) as answer:
        with Image.open(BytesIO(await answer.read())) as picture:
            return picture.getpixel((100, 50))


def files(server: Running) -> set[str]:
    folder = server.core.settings.storage.data_dir / "watermarks"
    return {path.stem for path in folder.iterdir()}


def leftovers(server: Running) -> list[Path]:
    """Whatever is being received or made."""
    data_dir = server.core.settings.storage.data_dir
    return [path for path in data_dir.glob("slots/*/*") if not path.name.startswith("process-")]


async def test_a_picture_is_kept_listed_shown_and_deleted(server: Running) -> None:
    status, saved = await put(server, "logo", plain(RED))
    assert status == 201
    assert {key: saved[key] for key in ("name", "width", "height")} == {
        "name": "logo",
        "width": 20,
        "height": 10,
    }
    assert saved["updated_at"].endswith("Z")
    assert await get_json(server, f"{HERE}/logo") == saved
    assert saved in (await get_json(server, HERE))["items"]
    async with server.http.get(f"{HERE}/logo/image") as answer:
        assert answer.content_type == "image/png"
        content = await answer.read()
    assert hashlib.sha256(content).hexdigest() == saved["sha256"]
    assert len(content) == saved["size_bytes"]
    assert await delete(server, "logo") == 204
    assert await delete(server, "logo") == 404
    await get_json(server, f"{HERE}/logo", 404)
    await get_json(server, f"{HERE}/logo/image", 404)


async def test_a_name_that_is_there_gets_the_new_picture(server: Running) -> None:
    assert (await put(server, "twice", plain(RED)))[0] == 201
    status, saved = await put(server, "twice", plain(BLUE, (30, 10)))
    assert (status, saved["width"]) == (200, 30)
    assert await get_json(server, f"{HERE}/twice") == saved


async def test_any_readable_format_becomes_a_small_enough_png(server: Running) -> None:
    _, saved = await put(
        server, "photo", make_jpeg(3000, 1500), headers={"Content-Type": "image/jpeg"}
    )
    assert (saved["width"], saved["height"]) == (2048, 1024)


@pytest.mark.parametrize("name", ["Logo", "a b", "-a", "a" * 41, "a.png"])
async def test_a_wrong_name_is_refused_before_the_body_is_read(server: Running, name: str) -> None:
    status, problem = await put(server, name, plain(RED))
    assert (status, problem["code"]) == (422, "invalid_request")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/name"]
    await get_json(server, f"{HERE}/{name}", 404)
    assert await delete(server, name) == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "empty_image"),
        (b"no picture", 422, "unsupported_format"),
        (make_png(400, 300)[:400], 422, "corrupt_image"),
        (bytes(MAX_BYTES + 1), 413, "payload_too_large"),
    ],
    ids=["empty", "text", "cut", "large"],
)
async def test_what_is_no_picture_is_refused_and_leaves_nothing(
    server: Running, body: bytes, status: int, code: str
) -> None:
    before = files(server)
    found = await put(server, "bad", body)
    assert (found[0], found[1]["code"]) == (status, code)
    await get_json(server, f"{HERE}/bad", 404)
    assert files(server) == before
    assert leftovers(server) == []


async def test_a_form_or_a_document_is_no_picture(server: Running) -> None:
    status, problem = await put(server, "bad", b"{}", headers={"Content-Type": "application/json"})
    assert (status, problem["code"]) == (415, "unsupported_media_type")


async def test_only_so_many_are_kept(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(server, "first", plain(RED))
    monkeypatch.setattr(watermarks_module, "MAX_WATERMARKS", 1)
    status, problem = await put(server, "one-more", plain(BLUE))
    assert (status, problem["code"]) == (422, InvalidRequest.code)
    assert (await put(server, "first", plain(BLUE)))[0] == 200


async def test_a_mark_lies_over_the_pictures_of_a_job(server: Running) -> None:
    await put(server, "used", plain(RED))
    job = await submit(server, ("a.jpg", PHOTO), spec=spec("used"))
    assert await colour_of(server, job) == RED


async def test_a_job_shows_the_recipe_as_it_was_sent(server: Running) -> None:
    await put(server, "shown", plain(RED))
    job = await submit(server, ("a.jpg", PHOTO), spec=spec("shown"))
    assert "sha256" not in json.dumps(job["recipe"])
    assert job["recipe"]["variants"][0]["watermark"]["preset_image"] == "shown"
    assert (await get_json(server, job["links"]["self"]))["recipe"] == job["recipe"]
    again = json.dumps({"recipe": job["recipe"]})
    assert (await submit(server, ("a.jpg", PHOTO), spec=again))["status"] == "completed"


async def test_a_name_that_means_nothing_is_refused_with_its_place(server: Running) -> None:
    form = form_of(("a.jpg", PHOTO), spec=spec("nothing"))
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        problem = await answer.json()
    assert (answer.status, problem["code"]) == (422, "invalid_recipe")
    assert [fault["pointer"] for fault in problem["errors"]] == [
        "/recipe/variants/0/watermark/preset_image"
    ]


async def test_what_a_name_means_later_changes_no_job(server: Running) -> None:
    await put(server, "fickle", plain(RED))
    form = form_of(spec=spec("fickle", open=True, reuse=False))
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job = await answer.json()
        assert answer.status == 202, job
    await put(server, "fickle", plain(BLUE))
    await delete(server, "fickle")
    await server.core.watermarks.remove_unused(now_ms())
    async with server.http.post(job["links"]["images"], data=form_of(("a.jpg", PHOTO))) as answer:
        assert answer.status == 202
    async with server.http.post(f"{job['links']['self']}/close") as answer:
        assert answer.status == 200
    await server.core.store.job(job["id"])
    async with server.http.get(
        job["links"]["events"], headers={"Accept": "text/event-stream"}
    ) as answer:
        await answer.read()
    assert await colour_of(server, job) == RED


async def test_the_same_name_with_another_picture_is_made_anew(server: Running) -> None:
    photo = make_jpeg(200, 100, quality=91)
    colours, reused = [], []
    for colour in (RED, BLUE, RED):
        await put(server, "changing", plain(colour))
        job = await submit(server, ("a.jpg", photo), spec=spec("changing"))
        colours.append(await colour_of(server, job))
        image = await get_json(server, f"{job['links']['images']}/0")
        reused.append(image["outputs"][0]["reused"])
    assert colours == [RED, BLUE, RED]
    assert reused == [False, False, True]


async def test_a_preset_means_what_the_name_means_when_it_is_used(server: Running) -> None:
    async with server.http.put("/api/v1/presets/marked", json=recipe("later")) as answer:
        assert answer.status == 201
    form = form_of(("a.jpg", PHOTO), preset="marked")
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        problem = await answer.json()
    assert (answer.status, problem["errors"][0]["pointer"]) == (422, "/preset")
    for colour in (RED, BLUE):
        await put(server, "later", plain(colour))
        job = await submit(server, ("a.jpg", PHOTO), preset="marked")
        assert await colour_of(server, job) == colour
    async with server.http.post("/api/v1/render?preset=marked", data=PHOTO) as answer:
        assert answer.status == 200
        with Image.open(BytesIO(await answer.read())) as picture:
            assert picture.getpixel((100, 50)) == BLUE


async def test_a_render_takes_a_watermark_as_any_other_field(server: Running) -> None:
    await put(server, "rendered", plain(RED))
    (variant,) = recipe("rendered")["variants"]
    query = {"format": "png", "watermark": json.dumps(variant["watermark"])}
    async with server.http.post("/api/v1/render", params=query, data=PHOTO) as answer:
        assert answer.status == 200
        with Image.open(BytesIO(await answer.read())) as picture:
            assert picture.getpixel((100, 50)) == RED
    await delete(server, "rendered")
    async with server.http.post("/api/v1/render", params=query, data=PHOTO) as answer:
        problem = await answer.json()
    assert (answer.status, problem["code"]) == (422, "invalid_recipe")
    assert problem["errors"][0]["pointer"] == "/watermark/preset_image"


async def test_a_file_goes_with_the_last_that_needs_it(tmp_path: Path) -> None:
    async with running_server(make_settings(tmp_path / "data")) as server:
        core = server.core
        _, first = await put(server, "one", plain(RED))
        await put(server, "two", plain(RED))
        job = await submit(server, ("a.jpg", PHOTO), spec=spec("one"))
        for name in ("one", "two"):
            await delete(server, name)
            assert await core.watermarks.remove_unused(now_ms()) == 0
            assert files(server) == {first["sha256"]}
        await core.deleter.delete(job["id"])
        assert await core.watermarks.remove_unused(now_ms()) == 0  # a request might still come
        assert await core.watermarks.remove_unused(now_ms(), kept_pinned_ms=0) == 1
        assert files(server) == set()


async def test_a_retry_works_after_the_name_is_gone_and_a_restart(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    async with running_server(settings) as server:
        await put(server, "gone", plain(RED))
        form = form_of(spec=spec("gone", open=True))
        async with server.http.post("/api/v1/jobs", data=form) as answer:
            job = await answer.json()
        form = form_of(("a.jpg", PHOTO))
        async with server.http.post(job["links"]["images"], data=form) as answer:
            assert answer.status == 202
        async with server.http.post(f"{job['links']['self']}/cancel") as answer:
            assert answer.status == 200
        await delete(server, "gone")
    stray = settings.storage.data_dir / "watermarks" / f"{'0' * 64}.png"
    stray.write_bytes(b"left by a crash")
    async with running_server(settings) as server:
        assert len(files(server)) == 1
        assert not stray.exists()
        async with server.http.post(f"{job['links']['self']}/retry") as answer:
            assert answer.status == 200
        async with server.http.get(
            job["links"]["events"], headers={"Accept": "text/event-stream"}
        ) as answer:
            await answer.read()
        assert await colour_of(server, job) == RED


async def test_what_goes_while_a_submit_arrives_refuses_the_submit(server: Running) -> None:
    """Between the judging of its recipe and the first row."""
    await put(server, "brief", plain((1, 2, 3)))
    core = server.core
    async with await core.submitter.begin("api") as submission:
        await submission.describe(parse_spec(json.loads(spec("brief", open=True))))
        await delete(server, "brief")
        assert await core.watermarks.remove_unused(now_ms() + KEPT_PINNED_MS) >= 1
        with pytest.raises(InvalidRecipe, match="deleted at this moment"):
            await submission.commit()
        job_id = submission.job_id
    await get_json(server, f"/api/v1/jobs/{job_id}", 404)


async def test_a_request_keeps_the_picture_that_it_began_with(server: Running) -> None:
    await put(server, "swapped", plain(RED))
    core = server.core
    async with await core.submitter.begin("api") as submission:
        await submission.describe(parse_spec(json.loads(spec("swapped", open=True))))
        await put(server, "swapped", plain(BLUE))
        await core.watermarks.remove_unused(now_ms())
        job = await submission.commit()
    assert job.id == submission.job_id
