"""Product lists over HTTP: from the CSV to the job, and its columns in the report."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any

import pytest
import pytest_asyncio

from imgsvc.api import product_lists
from imgsvc.api.report import COLUMNS
from tests.fetching.hosts import Host, answer, running_host
from tests.pictures import make_jpeg
from tests.servers import Running, get_json, make_settings, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADER = "S. No.,Product Name,Input Image Urls"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    settings = make_settings(
        tmp_path_factory.mktemp("data"),
        fetch={"allow_private": True},
        limits={"max_images_per_job": 20},
    )
    async with running_server(settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def host() -> AsyncIterator[Host]:
    async with running_host() as running:
        running.answers["/a.jpg"] = answer(make_jpeg(30, 20))
        running.answers["/b.jpg"] = answer(make_jpeg(20, 30))
        yield running


async def send(
    server: Running,
    content: str | bytes,
    status: int = 200,
    query: str = "preset=thumbnail",
    **headers: str,
) -> dict[str, Any]:
    body = content.encode() if isinstance(content, str) else content
    named = {"Content-Type": "text/csv", "Prefer": "wait=50"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    async with server.http.post(f"/api/v1/jobs?{query}", data=body, headers=named) as response:
        document: dict[str, Any] = await response.json()
        assert response.status == status, document
        return document


async def read_report(server: Running, job: dict[str, Any]) -> tuple[bytes, list[list[str]]]:
    async with server.http.get(job["links"]["report"]) as response:
        content = await response.read()
    return content, list(csv.reader(StringIO(content.decode("utf-8-sig"), newline="")))


async def test_a_list_is_a_job_with_its_options_in_the_query(server: Running, host: Host) -> None:
    urls = f"{host.url('/a.jpg')}, {host.url('/gone/c%20d.jpg')}"
    content = f'{HEADER}\n1,Shoe,"{urls}"\n2,Hat,{host.url("/b.jpg")}\n3,Rug,{host.url("/")}\n'
    job = await send(server, content, query="preset=thumbnail&label=autumn&priority=high")
    assert (job["source"], job["label"], job["preset"], job["total"]) == (
        "csv", "autumn", "thumbnail", 4,
    )  # fmt: skip
    assert (job["status"], job["completed"], job["errors"]) == ("partial", 2, {"fetch_failed": 2})
    images = (await get_json(server, job["links"]["images"]))["items"]
    assert [image["name"] for image in images] == ["a.jpg", "c d.jpg", "b.jpg", "image-3"]
    assert images[1]["source"] == {"kind": "url", "url": host.url("/gone/c%20d.jpg")}


async def test_the_default_preset_is_the_one_of_every_submit(server: Running, host: Host) -> None:
    job = await send(server, f"{HEADER}\n1,Shoe,{host.url('/a.jpg')}\n", query="")
    assert job["preset"] == "standard"


async def test_source_columns_come_back_in_the_report_on_every_row_of_their_image(
    server: Running, host: Host
) -> None:
    recipe = {"variants": [{"name": "v", "format": "png"}, {"name": "w", "format": "jpeg"}]}
    a, b = host.url("/a.jpg"), host.url("/b.jpg")
    content = f'Name,{HEADER},"Größe, cm"\nx,1,"A\nB","{a},{b}",-5\ny,2,Hat,{a},"+3,20"\n'
    job = await send(server, content, query=f"recipe={json.dumps(recipe)}")
    raw, (head, *rows) = await read_report(server, job)
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in raw
    assert head == [
        *COLUMNS, "source Name", "S. No.", "Product Name", "Input Image Urls", "Größe, cm",
    ]  # fmt: skip
    first, second = ["x", "1", "A\nB", f"{a},{b}", "-5"], ["y", "2", "Hat", a, "+3,20"]
    assert [row[len(COLUMNS) :] for row in rows] == [first] * 4 + [second] * 2
    assert [row[0] for row in rows] == ["0", "0", "1", "1", "2", "2"]


@pytest.mark.parametrize("media_type", ["application/csv", "text/plain"])
async def test_a_list_under_another_type_is_told_its_own(server: Running, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    async with server.http.post("/api/v1/jobs", data=HEADER, headers=headers) as answer:
        assert answer.status == 415
        assert "a product list as text/csv" in (await answer.json())["detail"]


async def test_columns_of_one_title_or_none_come_back_too(server: Running, host: Host) -> None:
    url = host.url("/a.jpg")
    content = f"Note,,index,{HEADER},note,source index\na,b,c,1,Shoe,{url},d,e\n"
    _, (head, row, *_) = await read_report(server, await send(server, content))
    assert head[len(COLUMNS) :] == [
        "Note", "", "source source index", "S. No.", "Product Name", "Input Image Urls", "note",
        "source index",
    ]  # fmt: skip
    assert row[len(COLUMNS) :] == ["a", "b", "c", "1", "Shoe", url, "d", "e"]


async def test_no_cell_of_a_list_becomes_a_formula(server: Running, host: Host) -> None:
    url = host.url("/a.jpg")
    content = (
        f'{HEADER},=HYPERLINK(1)\n1,"=cmd|\' /C calc\'!A0",{url},"\t=1+1"\n2,@SUM(A1),{url},-\n'
    )
    _, (head, *rows) = await read_report(server, await send(server, content))
    cells = [head[-1], *(cell for row in rows for cell in row)]
    assert "'=HYPERLINK(1)" in cells
    assert {"'=cmd|' /C calc'!A0", "'\t=1+1", "'@SUM(A1)", "'-"} <= set(cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]


@pytest.mark.parametrize(
    ("codec", "charset", "marked"),
    [("utf-8", None, False), ("utf-8-sig", None, True), ("utf-16", None, True),
     ("cp1252", "; charset=windows-1252", True)],
)  # fmt: skip
async def test_a_report_has_a_mark_where_the_list_was_not_plain_utf8(
    server: Running, host: Host, codec: str, charset: str | None, marked: bool
) -> None:
    content = f"{HEADER}\n1,Größe,{host.url('/a.jpg')}\n".encode(codec)
    job = await send(server, content, Content_Type=f"text/csv{charset or ''}")
    raw, rows = await read_report(server, job)
    assert raw.startswith(b"\xef\xbb\xbf") is marked
    assert rows[1][-2] == "Größe"


async def what_is_there(server: Running) -> tuple[list[str], set[str]]:
    """Ids of jobs, and their folders; other tests' jobs may still be worked on."""
    jobs = (await get_json(server, "/api/v1/jobs?limit=500"))["items"]
    folders = server.core.settings.storage.data_dir / "jobs"
    return [job["id"] for job in jobs], {path.name for path in folders.iterdir()}


async def test_a_bad_list_is_refused_with_every_place_and_nothing_is_left(server: Running) -> None:
    before = await what_is_there(server)
    rows = [f"{'x' if n % 2 else n},,ftp://{n}/" for n in range(15)]
    problem = await send(server, "\n".join([HEADER, *rows]), 422)
    assert problem["code"] == "invalid_csv"
    assert len(problem["errors"]) == 7 + 15 + 15
    assert problem["errors"][0]["pointer"] == "/rows/2/Product Name"
    assert {"pointer": "/rows/3/S. No.", "detail": "Row 3, S. No.: 'x' is no whole number."} in (
        problem["errors"]
    )
    assert await what_is_there(server) == before


async def test_a_list_that_does_not_fit_is_refused_as_a_whole(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{n},Shoe,https://shop.example/{n}\n" for n in range(21))
    problem = await send(server, f"{HEADER}\n{rows}", 413)
    assert problem["code"] == "too_many_images"
    monkeypatch.setattr(product_lists, "MAX_LIST_BYTES", 100)
    problem = await send(server, f"{HEADER}\n{rows}", 413)
    assert problem["code"] == "payload_too_large"


@pytest.mark.parametrize("query", ["name=a", "preset=none", "preset=web&recipe={}", "open=maybe"])
async def test_options_are_checked_before_the_list(server: Running, query: str) -> None:
    problem = await send(server, "nonsense", 422, query)
    assert problem["code"] in ("invalid_request", "invalid_recipe")


async def test_the_same_list_with_the_same_key_is_one_job(server: Running, host: Host) -> None:
    content = f"{HEADER},Note\n1,Shoe,{host.url('/a.jpg')},one\n"
    job = await send(server, content, Idempotency_Key="list-1")
    again = await send(server, content, Idempotency_Key="list-1")
    assert again["id"] == job["id"]
    problem = await send(server, content.replace("one", "two"), 422, Idempotency_Key="list-1")
    assert problem["code"] == "idempotency_mismatch"
    assert host.asked == ["/a.jpg"]


async def test_a_list_is_not_appended_but_images_are_to_its_job(
    server: Running, host: Host
) -> None:
    content = f"{HEADER}\n1,Shoe,{host.url('/a.jpg')}\n"
    job = await send(server, content, 202, "preset=thumbnail&open=true", Prefer="")
    path = job["links"]["images"]
    headers = {"Content-Type": "text/csv"}
    async with server.http.post(path, data=content.encode(), headers=headers) as response:
        assert response.status == 415
    body = {"images": [{"url": host.url("/b.jpg")}]}
    async with server.http.post(path, json=body) as response:
        assert response.status == 202
    _, rows = await read_report(server, job)
    assert [row[-3:] for row in rows[1:]] == [
        ["1", "Shoe", host.url("/a.jpg")], ["", "", ""],
    ]  # fmt: skip
