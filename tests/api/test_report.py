"""report.csv: a job as a spreadsheet."""

from __future__ import annotations

import csv
import json
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from imgsvc.api.report import COLUMNS
from imgsvc.api.spreadsheet import rename_taken
from imgsvc.domain.cells import guard_cell
from tests.pictures import make_jpeg
from tests.servers import Running, get_json, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPEC = {
    "recipe": {
        "variants": [
            {"name": "v", "width": 16, "format": "png"},
            {"name": "w", "width": 900, "format": "webp"},
        ]
    }
}


async def _report(server: Running, job: dict[str, Any]) -> list[dict[str, str]]:
    async with server.http.get(job["links"]["report"]) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
        assert f"{job['id']}.csv" in answer.headers["Content-Disposition"]
        text = await answer.text()
    assert "\n" not in text.replace("\r\n", "")
    rows = list(csv.DictReader(text.splitlines()))
    assert all(tuple(row) == COLUMNS for row in rows)
    return rows


async def test_every_image_and_variant_has_a_row_with_its_facts(server: Running) -> None:
    files = [("a.jpg", make_jpeg(40, 30)), ('b, "c".jpg', make_jpeg(30, 20)), ("d.jpg", b"no")]
    job = await submit(server, *files, spec=json.dumps(SPEC))
    rows = await _report(server, job)
    assert [(row["index"], row["variant"]) for row in rows] == [
        (str(index), variant) for index in range(3) for variant in ("v", "w")
    ]
    images = (await get_json(server, job["links"]["images"]))["items"]
    for row, output in zip(rows[:4], [o for i in images for o in i["outputs"]], strict=True):
        assert row["output_url"] == f"{server.url}{output['url']}"
        for column in ("format", "width", "height", "size_bytes", "sha256"):
            assert row[column] == str(output[column])
        assert (row["status"], row["error_code"], row["reused"]) == ("completed", "", "false")
    assert rows[2]["name"] == 'b, "c".jpg'
    assert rows[1]["warnings"].endswith(": w")
    assert [row["output_name"] for row in rows[:2]] == ["a-v.png", "a-w.webp"]
    for row in rows[4:]:
        assert (row["status"], row["error_code"]) == ("failed", "unsupported_format")
        assert row["error_message"]
        assert row["output_url"] == row["width"] == row["sha256"] == ""


async def test_the_name_of_an_output_is_that_in_the_archive_and_a_failed_image_keeps_its_own(
    server: Running,
) -> None:
    files = [("a.jpg", b"no"), ("a.jpg", make_jpeg(26, 20)), ("a.png", make_jpeg(26, 21))]
    job = await submit(server, *files, spec=json.dumps(SPEC))
    async with server.http.get(job["links"]["archive"]) as answer:
        entries = ZipFile(BytesIO(await answer.read())).namelist()
    named = [row["output_name"] for row in await _report(server, job)]
    assert named == ["", "", "a.jpg-2-v.png", "a.jpg-2-w.webp", "a.png-v.png", "a.png-w.webp"]
    assert entries == named[2:]


@pytest.mark.parametrize(
    "name", ["=1+1.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg", "  =1.jpg", "\uff1d1.jpg"]
)
async def test_no_name_becomes_a_formula(server: Running, name: str) -> None:
    job = await submit(server, (name, make_jpeg(20, 20)), spec=json.dumps(SPEC))
    image = (await get_json(server, job["links"]["images"]))["items"][0]
    assert (await _report(server, job))[0]["name"] == f"'{image['name']}"


@pytest.mark.parametrize("text", ["=1", "\t=1", "\r1", "-2+1", "+1e3", "-", "\uff0b1"])
async def test_what_starts_like_a_formula_is_quoted(text: str) -> None:
    assert guard_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["", "a=1", "1-2", "photo.jpg", "'=1", "-5", "  -5 ", "+3,20", "-1.000,5"]
)
async def test_other_text_stays_as_it_is(text: str) -> None:
    assert guard_cell(text) == text


async def test_as_many_titles_as_a_list_may_have_are_renamed_however_alike_they_are() -> None:
    assert rename_taken(["Index"] * 16_000, ["index"]) == ["source Index"] * 16_000


async def test_a_job_without_images_has_its_head_alone(server: Running) -> None:
    async with server.http.post("/api/v1/jobs", json={**SPEC, "open": True}) as answer:
        job = await answer.json()
    assert await _report(server, job) == []


async def test_an_unknown_job_is_not_found(server: Running) -> None:
    await get_json(server, "/api/v1/jobs/nonsense/report.csv", 404)


async def test_head_tells_what_would_come(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), spec=json.dumps(SPEC))
    async with server.http.head(job["links"]["report"]) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
