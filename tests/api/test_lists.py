"""Lists: pages, filters, cursors; deleting."""

from __future__ import annotations

import pytest
from yarl import URL

from tests.pictures import make_jpeg
from tests.servers import Running, get_json, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

JOB_KEYS = {
    "id", "status", "label", "priority", "preset", "recipe", "open", "source", "total",
    "completed", "failed", "cancelled", "progress", "eta_s", "input_bytes", "output_bytes",
    "errors", "created_at", "started_at", "finished_at", "expires_at", "links",
}  # fmt: skip
IMAGE_KEYS = {
    "id", "index", "name", "status", "attempts", "source", "error", "last_error", "warnings",
    "analysis", "input", "outputs", "started_at", "finished_at", "duration_ms",
}  # fmt: skip


async def test_jobs_are_listed_newest_first_in_pages(server: Running) -> None:
    made = [
        (await submit(server, ("a.jpg", make_jpeg(20, 20)), label="pages"))["id"] for _ in range(5)
    ]
    seen: list[str] = []
    path = "/api/v1/jobs?label=pages&limit=2"
    while path:
        async with server.http.get(path) as answer:
            page = await answer.json()
            link = answer.links.get("next")
        seen += [job["id"] for job in page["items"]]
        assert (link is None) == (page["next_cursor"] is None)
        path = URL(link["url"]).raw_path_qs if link else ""
    assert seen == made[::-1]


async def test_images_are_listed_in_index_order_in_pages(server: Running) -> None:
    files = [(f"{n}.jpg", make_jpeg(20, 20)) for n in range(5)]
    job = await submit(server, *files)
    path = job["links"]["images"]
    first = await get_json(server, f"{path}?limit=3")
    second = await get_json(server, f"{path}?limit=3&cursor={first['next_cursor']}")
    assert [i["index"] for i in first["items"] + second["items"]] == [0, 1, 2, 3, 4]
    assert second["next_cursor"] is None


async def test_lists_can_be_narrowed_by_status(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), ("b.jpg", b"no"), label="narrow")
    partial = await get_json(server, "/api/v1/jobs?status=partial&label=narrow")
    assert [item["id"] for item in partial["items"]] == [job["id"]]
    assert (await get_json(server, "/api/v1/jobs?status=failed&label=narrow"))["items"] == []
    failed = await get_json(server, f"{job['links']['images']}?status=failed")
    assert [image["name"] for image in failed["items"]] == ["b.jpg"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/jobs?status=&label=&limit=&cursor=",
        "/api/v1/images?status=&limit=&cursor=",
    ],
)
async def test_an_empty_parameter_counts_as_not_given(server: Running, path: str) -> None:
    await submit(server, ("a.jpg", make_jpeg(20, 20)), label="mine")
    assert await get_json(server, path) == await get_json(server, path.partition("?")[0])


async def test_every_fact_of_the_contract_is_there(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    image = await get_json(server, f"{job['links']['images']}/0")
    assert set(job) == JOB_KEYS
    assert set(image) == IMAGE_KEYS
    assert set(image["input"]) == {"format", "width", "height", "frames", "size_bytes", "sha256"}
    assert set(image["outputs"][0]) == {
        "variant", "format", "width", "height", "frames", "size_bytes", "sha256", "reused", "url",
    }  # fmt: skip
    assert image["attempts"] == 1
    assert job["output_bytes"] == sum(o["size_bytes"] for o in image["outputs"])
    assert job["input_bytes"] == image["input"]["size_bytes"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "limit=1e3", "status=done", "cursor=abc", "cursor=W10"],
)
async def test_a_wrong_query_is_refused(server: Running, query: str) -> None:
    problem = await get_json(server, f"/api/v1/jobs?{query}", 422)
    assert problem["code"] == "invalid_request"
    assert problem["errors"][0]["pointer"] == f"/{query.partition('=')[0]}"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_unknown_job_is_not_found(server: Running, method: str) -> None:
    for name in ("01987b3e-0000-7000-8000-000000000000", "nonsense", "%2e%2e"):
        async with server.http.request(method, f"/api/v1/jobs/{name}") as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "not_found")


async def test_a_deleted_job_is_gone_with_its_files(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    folder = server.core.settings.storage.data_dir / "jobs" / job["id"]
    assert folder.exists()
    async with server.http.delete(job["links"]["self"]) as answer:
        assert answer.status == 204
    assert not folder.exists()
    await get_json(server, job["links"]["self"], 404)
    await get_json(server, f"{job['links']['images']}/0/outputs/standard", 404)


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/api/v1/jobs?statuss=failed", "/statuss"),
        ("/api/v1/jobs?limit=1&limit=2", "/limit"),
        ("/api/v1/images?label=x", "/label"),
    ],
)
async def test_a_misspelled_parameter_is_no_answer(
    server: Running, path: str, pointer: str
) -> None:
    problem = await get_json(server, path, 422)
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("invalid_request", pointer)
