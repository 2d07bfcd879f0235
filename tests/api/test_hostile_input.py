"""Names, cursors and requests that are meant to do harm, or come at the wrong time."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
import zipfile
from collections import Counter
from email.message import Message
from pathlib import PurePosixPath, PureWindowsPath

import pytest

from tests.pictures import make_jpeg
from tests.runtime.faulty import fault
from tests.servers import Running, form_of, get_json, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = [
    "../../etc/passwd.jpg",
    "/absolute/path.jpg",
    "C:\\Windows\\system32\\evil.jpg",
    "..\\..\\up.jpg",
    "a/../../b.jpg",
    "CON.jpg",
    "aux",
    "LPT1.tar.gz.jpg",
]
STRANGE = [
    "tab\there.jpg",
    "bell\x07.jpg",
    "right\u202egpj.exe",
    "n" * 300 + ".jpg",
    "=cmd|' /C calc'!A0.jpg",
    'quote".jpg',
    "semi;colon, comma.jpg",
    "Käse 写真 🙂.jpg",
]
ONE = json.dumps({"preset": "thumbnail", "reuse": False})


@pytest.mark.parametrize("names", [NAMES, STRANGE], ids=["paths", "characters"])
async def test_whatever_images_are_called_results_are_safe(
    server: Running, names: list[str]
) -> None:
    images = [{"data": _base64(make_jpeg(20 + n, 20)), "name": name[-255:]}
              for n, name in enumerate(names)]  # fmt: skip
    spec = {"images": images, "preset": "thumbnail"}
    async with server.http.post("/api/v1/jobs", json=spec, headers={"Prefer": "wait=50"}) as answer:
        job = await answer.json()
    assert (answer.status, job["completed"]) == (200, len(names)), job

    async with server.http.get(job["links"]["archive"]) as answer:
        archive = zipfile.ZipFile(io.BytesIO(await answer.read()))
    assert archive.testzip() is None
    entries = archive.namelist()
    assert len(set(map(str.casefold, entries))) == len(names)
    for entry in entries:
        assert ".." not in PurePosixPath(entry).parts
        assert not PurePosixPath(entry).is_absolute()
        assert not PureWindowsPath(entry).is_absolute()
        assert not PureWindowsPath(entry).is_reserved()
        assert entry.isprintable()
        assert all(len(part.encode()) <= 255 for part in entry.split("/"))

    async with server.http.get(job["links"]["report"]) as answer:
        rows = list(csv.reader(io.StringIO(await answer.text())))
    assert len(rows) == len(names) + 1
    assert not [cell for row in rows for cell in row if cell[:1] in {"=", "+", "@", "\t", "\r"}]

    for image in (await get_json(server, job["links"]["images"]))["items"]:
        async with server.http.get(image["outputs"][0]["url"]) as answer:
            header = Message()
            header["Content-Disposition"] = answer.headers["Content-Disposition"]
        name = header.get_filename() or ""
        assert name
        assert not set(name) & {"/", "\\", "\n", "\r"}


async def test_a_form_keeps_the_end_of_a_long_name(server: Running) -> None:
    job = await submit(server, ("n" * 300 + ".jpg", make_jpeg(20, 20)), spec=ONE)
    image = await get_json(server, f"{job['links']['images']}/0")
    assert image["name"] == "n" * 251 + ".jpg"


async def test_a_cursor_that_was_tampered_with_is_never_more_than_a_wrong_request(
    server: Running,
) -> None:
    job = await submit(server, *[(f"{n}.jpg", b"no image %d" % n) for n in range(3)])
    page = await get_json(server, f"{job['links']['images']}?limit=1")
    cursor = page["next_cursor"]
    tampered = {cursor[:n] + chr(ord(cursor[n]) ^ 1) + cursor[n + 1 :] for n in range(len(cursor))}
    tampered |= {cursor[:-1], cursor * 2, "a" * 5000, "%00", "..", "W10=", "null", "LTE"}
    statuses: Counter[int] = Counter()
    for path in (job["links"]["images"], "/api/v1/jobs", "/api/v1/images"):
        for changed in tampered:
            async with server.http.get(path, params={"cursor": changed}) as answer:
                statuses[answer.status] += 1
                if answer.status == 422:
                    assert (await answer.json())["errors"][0]["pointer"] == "/cursor"
    assert set(statuses) <= {200, 422}
    assert statuses[422] > len(tampered)


async def test_two_cancels_at_once_say_the_same(server: Running) -> None:
    form = form_of(*[(f"{n}.jpg", make_jpeg(300 + n, 200)) for n in range(8)], spec=ONE)
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job = await answer.json()

    async def cancel() -> tuple[int, str]:
        async with server.http.post(f"{job['links']['self']}/cancel") as answer:
            document = await answer.json()
            return answer.status, document["status"]

    answers = await asyncio.gather(*[cancel() for _ in range(5)])
    assert set(answers) in ({(200, "cancelled")}, {(200, "completed")})
    done = await get_json(server, job["links"]["self"])
    assert done["completed"] + done["cancelled"] == done["total"]


async def test_a_retry_while_the_job_runs_takes_up_what_has_failed(server: Running) -> None:
    files = [("bad.jpg", b"no image"), *[(f"{n}.jpg", make_jpeg(900 + n, 700)) for n in range(6)]]
    async with server.http.post("/api/v1/jobs", data=form_of(*files, spec=ONE)) as answer:
        job = await answer.json()
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        async for frame in socket:
            message = frame.json()
            if message["type"] == "image" and message["image"]["status"] == "failed":
                break
        async with server.http.post(f"{job['links']['self']}/retry") as answer:
            assert answer.status == 200
        async for frame in socket:
            message = frame.json()
    done = message["job"]
    assert (done["status"], done["completed"], done["failed"]) == ("partial", 6, 1)
    assert done["errors"] == {"unsupported_format": 1}


async def test_a_job_deleted_twice_at_once_is_gone_once(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(33, 20)), spec=ONE)

    async def delete() -> int:
        async with server.http.delete(job["links"]["self"]) as answer:
            return answer.status

    assert sorted(await asyncio.gather(*[delete() for _ in range(4)])) == [204, 404, 404, 404]
    async with server.http.post(
        job["links"]["images"], data=form_of(("a.jpg", make_jpeg(20, 20)))
    ) as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, "not_found")


async def test_an_image_that_looks_like_a_command_is_only_no_image(server: Running) -> None:
    job = await submit(server, ("a.jpg", fault("ok")), spec=ONE)
    assert job["errors"] == {"unsupported_format": 1}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
