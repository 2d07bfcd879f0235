"""Finished files: headers, conditional requests, ranges, the ZIP."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator

import aiohttp
import pytest

from imgsvc.api import archives as archives_module
from tests.pictures import make_jpeg
from tests.servers import Running, get_json, spoil_outputs, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

TWO = json.dumps(
    {
        "recipe": {
            "variants": [
                {"name": "s", "width": 16, "format": "webp"},
                {"name": "l", "width": 32, "format": "png"},
            ]
        }
    }
)


async def _one(server: Running, name: str = "Söße.jpg") -> dict[str, object]:
    job = await submit(server, (name, make_jpeg(64, 48)), spec=TWO)
    image: dict[str, object] = await get_json(server, f"{job['links']['images']}/0")
    outputs = image["outputs"]
    assert isinstance(outputs, list)
    output: dict[str, object] = outputs[0]
    return output


async def test_an_output_carries_its_digest_type_and_name(server: Running) -> None:
    output = await _one(server)
    async with server.http.get(str(output["url"])) as answer:
        content = await answer.read()
        headers = answer.headers
    digest = hashlib.sha256(content)
    assert digest.hexdigest() == output["sha256"]
    assert headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert headers["Content-Type"] == "image/webp"
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"S__e-s.webp\"; filename*=UTF-8''S%C3%B6%C3%9Fe-s.webp"
    )
    assert int(headers["Content-Length"]) == output["size_bytes"]
    assert headers["Last-Modified"]


async def test_inline_shows_it_in_a_browser(server: Running) -> None:
    output = await _one(server, "a.jpg")
    async with server.http.get(f"{output['url']}?inline=1") as answer:
        assert answer.headers["Content-Disposition"] == 'inline; filename="a-s.webp"'


async def test_the_only_variant_is_called_as_the_image_was(server: Running) -> None:
    job = await submit(server, ("trip/a.b.jpg", make_jpeg(20, 20)), preset="thumbnail")
    async with server.http.get(f"{job['links']['images']}/0/outputs/thumbnail") as answer:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="a.b.webp"'


async def test_a_known_file_is_not_sent_again(server: Running) -> None:
    output = await _one(server)
    async with server.http.get(str(output["url"])) as answer:
        etag = answer.headers["ETag"]
    async with server.http.get(str(output["url"]), headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
        assert await answer.read() == b""
    async with server.http.get(str(output["url"]), headers={"If-Match": '"other"'}) as answer:
        assert answer.status == 412


async def test_a_part_of_a_file_can_be_asked_for(server: Running) -> None:
    output = await _one(server)
    async with server.http.get(str(output["url"])) as answer:
        whole = await answer.read()
    async with server.http.get(str(output["url"]), headers={"Range": "bytes=2-9"}) as answer:
        assert answer.status == 206
        assert await answer.read() == whole[2:10]
    async with server.http.get(str(output["url"]), headers={"Range": "bytes=9999999-"}) as answer:
        assert answer.status == 416


async def test_head_tells_without_sending(server: Running) -> None:
    output = await _one(server)
    async with server.http.head(str(output["url"])) as answer:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) == output["size_bytes"]


@pytest.mark.parametrize(
    "path",
    [
        "images/0/outputs/nope",
        "images/7/outputs/s",
        "images/99999999999999999999/outputs/s",
        "images/7",
        "archive.zip?variant=nope",
    ],
)
async def test_what_is_not_there_is_not_found(server: Running, path: str) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(64, 48)), spec=TWO)
    problem = await get_json(server, f"/api/v1/jobs/{job['id']}/{path}", 404)
    assert problem["code"] == "not_found"


async def test_the_archive_holds_every_output_under_its_result_name(server: Running) -> None:
    job = await submit(
        server,
        ("shop/a.jpg", make_jpeg(64, 48)),
        ("shop/a.png", make_jpeg(48, 64)),
        ("../../etc/passwd.jpg", make_jpeg(40, 40)),
        ("bad.jpg", b"nothing"),
        spec=TWO,
    )
    async with server.http.get(job["links"]["archive"]) as answer:
        assert answer.content_type == "application/zip"
        content = await answer.read()
        assert int(answer.headers["Content-Length"]) == len(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        names = sorted(archive.namelist())
    assert len(names) == 6
    assert {"shop/a.jpg-s.webp", "shop/a.png-l.png"} <= set(names)
    assert not any(name.startswith("/") or ".." in name.split("/") for name in names)


async def test_the_archive_can_be_of_one_variant(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(64, 48)), spec=TWO)
    async with server.http.get(f"{job['links']['archive']}?variant=l") as answer:
        with zipfile.ZipFile(io.BytesIO(await answer.read())) as archive:
            assert archive.namelist() == ["a-l.png"]


async def test_an_archive_that_cannot_go_on_is_broken_off(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files vanish when it has begun, as by a delete: the client must notice."""
    job = await submit(server, *[(f"{n}.jpg", make_jpeg(64, 48)) for n in range(3)], spec=TWO)
    folder = server.core.settings.storage.data_dir / "jobs" / job["id"] / "out"
    read_some = archives_module._read_some

    def read_some_without_files(chunks: Iterator[bytes]) -> bytes:
        for path in folder.iterdir():
            path.unlink()
        return read_some(chunks)

    monkeypatch.setattr(archives_module, "_read_some", read_some_without_files)
    with pytest.raises(aiohttp.ClientError):
        async with server.http.get(job["links"]["archive"]) as answer:
            await answer.read()


@pytest.mark.parametrize("unit", ["bites=0-1", "bytes=0-1,5-6", "items=3"])
async def test_a_range_that_need_not_be_followed_gives_the_whole_file(
    server: Running, unit: str
) -> None:
    output = await _one(server)
    async with server.http.get(str(output["url"]), headers={"Range": unit}) as answer:
        assert (answer.status, len(await answer.read())) == (200, output["size_bytes"])


@pytest.mark.parametrize("range_", ["bytes=-0", "bytes=9-2", "bytes=99999999-", "bytes=x"])
async def test_a_range_that_cannot_be_met_is_refused_without_a_word_of_the_file(
    server: Running, range_: str
) -> None:
    output = await _one(server)
    async with server.http.get(str(output["url"]), headers={"Range": range_}) as answer:
        assert (answer.status, await answer.read()) == (416, b"")
        assert answer.headers["Content-Range"] == f"bytes */{output['size_bytes']}"
        assert answer.headers["Content-Length"] == "0"
        assert "Repr-Digest" not in answer.headers
        assert "Content-Disposition" not in answer.headers


async def test_a_head_knows_no_range(server: Running) -> None:
    output = await _one(server)
    async with server.http.head(str(output["url"]), headers={"Range": "bytes=0-9"}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Length"] == str(output["size_bytes"])


async def test_a_part_is_given_only_of_the_file_that_the_client_has(server: Running) -> None:
    output = await _one(server)
    async with server.http.head(str(output["url"])) as answer:
        etag, modified = answer.headers["ETag"], answer.headers["Last-Modified"]
    same = {etag: 206, modified: 206}
    other = ['"stale"', f"W/{etag}", "Thu, 01 Jan 2037 00:00:00 GMT", "nonsense", ""]
    for validator, status in {**same, **dict.fromkeys(other, 200)}.items():
        headers = {"Range": "bytes=0-9", "If-Range": validator}
        async with server.http.get(str(output["url"]), headers=headers) as answer:
            assert answer.status == status, validator


@pytest.mark.parametrize("index", ["9" * 5000, "2147483648", "1", "00", "+0", "\u0660"])
async def test_what_is_no_images_index_is_not_found(server: Running, index: str) -> None:
    output = await _one(server)
    base = str(output["url"]).partition("/images/")[0]
    await get_json(server, f"{base}/images/{index}", 404)
    await get_json(server, f"{base}/images/{index}/outputs/s", 404)


async def test_records_that_do_not_fit_the_recipe_are_left_out_reported_and_not_reused(
    server: Running,
) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(64, 48)), ("b.jpg", make_jpeg(64, 32)), spec=TWO)
    await spoil_outputs(server, job["id"], "a.jpg")
    async with server.http.get(job["links"]["archive"]) as answer:
        assert answer.status == 200
        archive = zipfile.ZipFile(io.BytesIO(await answer.read()))
    assert archive.namelist() == ["b-s.webp", "b-l.png"]
    async with server.http.get(job["links"]["report"]) as answer:
        rows = list(csv.DictReader((await answer.text()).splitlines()))
    assert [(row["name"], row["variant"], bool(row["sha256"])) for row in rows] == [
        ("a.jpg", "s", False), ("a.jpg", "l", True), ("a.jpg", "nobody", True),
        ("b.jpg", "s", True), ("b.jpg", "l", True),
    ]  # fmt: skip
    again = await submit(server, ("a.jpg", make_jpeg(64, 48)), spec=TWO)
    image = await get_json(server, f"{again['links']['images']}/0")
    assert [output["reused"] for output in image["outputs"]] == [False, True]
