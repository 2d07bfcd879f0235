"""Presets: built-in ones, and own ones that are kept in the database."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from imgsvc.api.presets import MAX_BODY_BYTES
from imgsvc.domain.ids import new_id
from imgsvc.domain.preset import Preset
from imgsvc.recipes.presets import BUILT_IN
from imgsvc.service import presets as presets_module
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json, make_settings, running_server, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

TINY = {"variants": [{"name": "tiny", "width": 8, "format": "png"}]}
OTHER = {"variants": [{"name": "other", "width": 9, "format": "webp"}]}
PICTURE = make_jpeg(40, 30)


async def _put(server: Running, name: str, document: Any) -> tuple[int, Any, Any]:
    async with server.http.put(f"/api/v1/presets/{name}", json=document) as answer:
        return answer.status, answer.headers, await answer.json()


async def _delete(server: Running, name: str) -> tuple[int, str]:
    async with server.http.delete(f"/api/v1/presets/{name}") as answer:
        return answer.status, await answer.text()


@pytest_asyncio.fixture(loop_scope="module")
async def mine(server: Running) -> AsyncIterator[str]:
    """An own preset."""
    assert (await _put(server, "mine", TINY))[0] == 201
    yield "mine"
    await _delete(server, "mine")


async def test_built_in_presets_are_listed_and_shown(server: Running) -> None:
    items = (await get_json(server, "/api/v1/presets"))["items"]
    assert [item["name"] for item in items] == sorted(BUILT_IN)
    assert all(item["readonly"] and item["updated_at"] is None for item in items)
    standard = await get_json(server, "/api/v1/presets/standard")
    assert standard in items
    assert [v["name"] for v in standard["recipe"]["variants"]] == [
        "standard",
        "thumbnail",
        "grayscale",
    ]
    assert (await get_json(server, "/api/v1/presets/nope", 404))["code"] == "not_found"


async def test_built_in_presets_cannot_be_changed(server: Running) -> None:
    for document in (TINY, {"nonsense": 1}):
        status, _, problem = await _put(server, "standard", document)
        assert (status, problem["code"]) == (409, "preset_readonly")
    async with server.http.delete("/api/v1/presets/standard") as answer:
        assert (answer.status, (await answer.json())["code"]) == (409, "preset_readonly")


async def test_an_own_preset_is_saved_shown_replaced_and_deleted(server: Running) -> None:
    status, headers, saved = await _put(server, "my-1_own", TINY)
    assert (status, headers["Location"]) == (201, "/api/v1/presets/my-1_own")
    assert (saved["name"], saved["readonly"], saved["recipe"]) == ("my-1_own", False, TINY)
    assert await get_json(server, headers["Location"]) == saved
    status, headers, replaced = await _put(server, "my-1_own", OTHER)
    assert (status, replaced["recipe"]) == (200, OTHER)
    assert "Location" not in headers
    assert replaced["updated_at"] >= saved["updated_at"]
    items = (await get_json(server, "/api/v1/presets"))["items"]
    assert [item for item in items if not item["readonly"]] == [replaced]
    assert await _delete(server, "my-1_own") == (204, "")
    assert (await _delete(server, "my-1_own"))[0] == 404
    await get_json(server, "/api/v1/presets/my-1_own", 404)


async def test_what_is_shown_can_be_sent_back(server: Running, mine: str) -> None:
    shown = await get_json(server, f"/api/v1/presets/{mine}")
    status, _, again = await _put(server, mine, shown)
    assert (status, again["recipe"]) == (200, TINY)


async def test_a_recipe_is_kept_without_what_is_default_anyway(server: Running, mine: str) -> None:
    spelled = {"variants": [{**TINY["variants"][0], "mode": "fit", "flip": False, "blur": None}]}
    assert (await _put(server, mine, spelled))[2]["recipe"] == TINY


@pytest.mark.parametrize(
    ("document", "code", "pointer"),
    [
        ({"variants": [{"name": "v", "width": 0}]}, "invalid_recipe", "/variants/0/width"),
        ({"recipe": {"variants": [{"name": "v", "width": 0}]}}, "invalid_recipe",
         "/recipe/variants/0/width"),
        ({"variants": []}, "invalid_recipe", "/variants"),
        ({}, "invalid_recipe", "/variants"),
        ([], "invalid_recipe", ""),
        ({"recipe": None}, "invalid_recipe", "/recipe"),
        ({**TINY, "label": "x"}, "invalid_recipe", "/label"),
        ({**TINY, "recipe": TINY}, "invalid_request", "/variants"),
        ({"recipe": TINY, "name": "other"}, "invalid_request", "/name"),
        ({"recipe": TINY, "readonly": True}, "invalid_request", "/readonly"),
        ({"recipe": TINY, "readonly": 0}, "invalid_request", "/readonly"),
    ],
)  # fmt: skip
async def test_a_wrong_document_is_refused_with_its_place(
    server: Running, document: Any, code: str, pointer: str
) -> None:
    status, _, problem = await _put(server, "wrong", document)
    assert (status, problem["code"]) == (422, code)
    assert pointer in [error["pointer"] for error in problem["errors"]]
    await get_json(server, "/api/v1/presets/wrong", 404)


@pytest.mark.parametrize("body", [b"", b"{", b'{"variants": [], "variants": []}'])
async def test_a_body_that_is_no_json_is_refused(server: Running, body: bytes) -> None:
    async with server.http.put("/api/v1/presets/wrong", data=body) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "malformed_request")


async def test_a_body_is_bounded_and_so_is_what_is_said_of_it(server: Running) -> None:
    async with server.http.put("/api/v1/presets/wrong", data=b" " * MAX_BODY_BYTES + b"{}") as no:
        assert (no.status, (await no.json())["code"]) == (413, "payload_too_large")
    many = {"variants": [{"name": "v", **{f"f{n}": 0 for n in range(900)}}]}
    status, _, problem = await _put(server, "wrong", many)
    assert (status, len(problem["errors"])) == (422, 100)


@pytest.mark.parametrize(
    "name", ["Mine", "-mine", "x" * 41, "my%20own", "a.b", "a%2Fb", "n%C3%A4h", "a%00", "a%0A"]
)
async def test_a_name_keeps_to_the_rule_of_names(server: Running, name: str) -> None:
    url = URL(f"{server.url}/api/v1/presets/{name}", encoded=True)
    async with server.http.put(url, json=TINY) as answer:
        problem = await answer.json()
        assert (answer.status, problem["code"]) == (422, "invalid_request")
        assert [error["pointer"] for error in problem["errors"]] == ["/name"]
    async with server.http.delete(url) as answer:
        assert answer.status == 404
    async with server.http.get(url) as answer:
        assert answer.status == 404


async def test_there_are_only_so_many(
    server: Running, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets_module, "MAX_OWN_PRESETS", 1)
    status, _, problem = await _put(server, "more", TINY)
    assert (status, problem["code"]) == (422, "invalid_request")
    assert "delete one first" in problem["detail"]
    assert (await _put(server, mine, OTHER))[0] == 200


def _image() -> dict[str, str]:
    return {"data": base64.b64encode(PICTURE).decode(), "name": "a.jpg"}


SUBMITS: dict[str, tuple[str, dict[str, Any]]] = {
    "field": ("/api/v1/jobs", {"data": lambda: form_of(("a.jpg", PICTURE), preset="mine")}),
    "spec": (
        "/api/v1/jobs",
        {"data": lambda: form_of(("a.jpg", PICTURE), spec=json.dumps({"preset": "mine"}))},
    ),
    "json": ("/api/v1/jobs", {"json": lambda: {"images": [_image()], "preset": "mine"}}),
    "query": ("/api/v1/jobs?preset=mine", {"data": lambda: PICTURE}),
}


@pytest.mark.parametrize("form", list(SUBMITS))
async def test_every_form_of_a_submit_takes_an_own_preset(
    server: Running, mine: str, form: str
) -> None:
    path, body = SUBMITS[form]
    headers = {"Prefer": "wait=50"} | ({"Content-Type": "image/jpeg"} if form == "query" else {})
    given = {name: make() for name, make in body.items()}
    async with server.http.post(path, headers=headers, **given) as answer:
        job = await answer.json()
        assert answer.status == 200, job
    assert (job["preset"], job["recipe"], job["completed"]) == (mine, TINY, 1)


async def test_a_job_keeps_its_recipe_whatever_becomes_of_its_preset(
    server: Running, mine: str
) -> None:
    async with server.http.post("/api/v1/jobs", json={"open": True, "preset": mine}) as answer:
        job = await answer.json()
    await _put(server, mine, OTHER)
    await _delete(server, mine)
    form = form_of(("a.jpg", PICTURE))
    async with server.http.post(job["links"]["images"], data=form) as answer:
        assert answer.status == 202
    async with server.http.post(f"{job['links']['self']}/close") as answer:
        assert (await answer.json())["recipe"] == TINY
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        last = [json.loads(message.data) async for message in socket][-1]["job"]
    assert (last["preset"], last["recipe"], last["completed"]) == ("mine", TINY, 1)


async def test_a_repeated_submit_is_answered_though_its_preset_is_gone(
    server: Running, mine: str
) -> None:
    headers = {"Idempotency-Key": new_id()}

    async def post() -> tuple[int, Any]:
        form: aiohttp.FormData = form_of(("a.jpg", PICTURE), preset=mine)
        async with server.http.post("/api/v1/jobs", data=form, headers=headers) as answer:
            return answer.status, await answer.json()

    first = await post()
    await _delete(server, mine)
    assert first[0] == 202
    assert await post() == first


async def test_an_unknown_preset_is_refused_with_the_known_ones(server: Running, mine: str) -> None:
    async with server.http.post("/api/v1/jobs", data=form_of(preset="nope")) as answer:
        problem = await answer.json()
        assert (answer.status, problem["code"]) == (422, "invalid_request")
        assert problem["errors"][0]["pointer"] == "/preset"
        assert f" {mine}, " in problem["errors"][0]["detail"]


async def test_a_long_list_of_presets_is_not_told_whole(server: Running) -> None:
    names = [f"many-{n}" for n in range(30)]
    for name in names:
        await _put(server, name, TINY)
    async with server.http.post("/api/v1/jobs", data=form_of(preset="nope")) as answer:
        detail = (await answer.json())["errors"][0]["detail"]
    assert detail.endswith(", …")
    assert detail.count(",") == presets_module.MAX_NAMES_TOLD
    for name in names:
        await _delete(server, name)


@pytest.mark.parametrize(
    ("recipe", "place"),
    [
        ('{"variants":[{"name":"v","sparkle":true}]}', "/variants/0/sparkle"),
        ('{"layers":[]}', "/variants"),
    ],
)
async def test_a_saved_recipe_that_this_version_cannot_carry_out_is_refused_in_words(
    server: Running, recipe: str, place: str
) -> None:
    await server.core.store.save_preset(Preset("newer", recipe, 1), most=9)
    for path, form in (
        ("/api/v1/jobs", form_of(("a.jpg", PICTURE), preset="newer")),
        ("/upload", form_of(("a.jpg", PICTURE), preset="newer")),
    ):
        async with server.http.post(path, data=form) as answer:
            problem = await answer.json()
            assert (answer.status, problem["code"]) == (422, "invalid_recipe")
        assert "the preset newer" in problem["detail"]
        assert problem["errors"][0]["pointer"] == "/preset"
        assert any(place in error["detail"] for error in problem["errors"])
    shown = await get_json(server, "/api/v1/presets/newer")
    assert shown["recipe"] == json.loads(recipe)
    assert shown in (await get_json(server, "/api/v1/presets"))["items"]
    assert (await _delete(server, "newer"))[0] == 204


async def test_the_upload_dialect_takes_an_own_preset(server: Running, mine: str) -> None:
    async with server.http.post("/upload", data=form_of(("a.jpg", PICTURE), preset=mine)) as answer:
        batch = await answer.json()
        assert answer.status == 202, batch
    job = await get_json(server, f"/api/v1/jobs/{batch['batch_id']}")
    assert (job["preset"], job["recipe"]) == (mine, TINY)


async def test_a_built_in_preset_goes_before_an_own_one_of_its_name(server: Running) -> None:
    await server.core.store.save_preset(Preset("web", json.dumps(TINY), 1), most=9)
    shown = await get_json(server, "/api/v1/presets/web")
    assert shown["readonly"] is True
    items = (await get_json(server, "/api/v1/presets"))["items"]
    assert [item for item in items if item["name"] == "web"] == [shown]
    await server.core.store.delete_preset("web")


async def test_own_presets_outlive_the_server(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    async with running_server(settings) as server:
        await _put(server, "kept", TINY)
    async with running_server(settings) as server:
        job = await submit(server, ("a.jpg", PICTURE), preset="kept")
        assert job["recipe"] == TINY
