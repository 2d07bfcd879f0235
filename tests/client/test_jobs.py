from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from imgsvc.client import ApiError, BytesUpload, Client, ClientError, ServerUnreachable, patience
from imgsvc.client import client as client_module
from tests.client.pictures import picture
from tests.server_process import ServerProcess


async def test_jobs_are_read_page_by_page_newest_first(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE_OF_JOBS", 2)
    made = [
        (await client.submit([BytesUpload(picture(), "a.png")], label="paged"))["id"]
        for _ in range(5)
    ]
    assert [job["id"] async for job in client.jobs(label="paged")] == made[::-1]


async def test_images_are_read_page_by_page_in_index_order(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE_OF_IMAGES", 2)
    job = await client.submit(BytesUpload(picture(), f"{n}.png") for n in range(5))
    assert [image["index"] async for image in client.images(job["id"])] == [0, 1, 2, 3, 4]


async def test_images_can_be_chosen_by_status(client: Client) -> None:
    job = await client.submit([BytesUpload(picture(), "a.png"), BytesUpload(b"no", "b.png")])
    await client.wait(job["id"])
    failed = [image async for image in client.images(job["id"], status="failed")]
    assert [(image["name"], image["outputs"]) for image in failed] == [("b.png", [])]
    assert failed[0]["error"] is not None


async def test_wait_gives_the_job_as_it_ended(client: Client) -> None:
    job = await client.submit([BytesUpload(picture(), "a.png"), BytesUpload(b"no", "b.png")])
    ended = await client.wait(job["id"])
    assert (ended["status"], ended["completed"], ended["failed"]) == ("partial", 1, 1)
    assert ended == await client.job(job["id"])


async def test_following_tells_of_every_image_and_ends_with_the_job(client: Client) -> None:
    job = await client.submit(BytesUpload(picture(), f"{n}.png") for n in range(3))
    messages = [message async for message in client.follow(job["id"])]
    assert (messages[0]["type"], messages[-1]["type"]) == ("snapshot", "end")
    seqs = [message["seq"] for message in messages]
    assert seqs == sorted(set(seqs))
    assert messages[-1]["job"]["status"] == "completed"


async def test_a_job_that_is_deleted_is_gone(client: Client) -> None:
    job = await client.submit([BytesUpload(picture(), "a.png")])
    await client.delete(job["id"])
    for call in (client.job, client.wait, client.delete):
        with pytest.raises(ApiError) as caught:
            await call(job["id"])
        assert (caught.value.code, caught.value.status) == ("not_found", 404)


@pytest.mark.parametrize("job_id", ["nothing", "../info", "a/b?c#d", "%2e%2e"])
async def test_an_id_is_never_read_as_another_address(client: Client, job_id: str) -> None:
    with pytest.raises(ApiError) as caught:
        await client.job(job_id)
    assert caught.value.code == "not_found"


async def test_presets_and_info_say_what_the_server_can_do(client: Client) -> None:
    presets = {preset["name"]: preset["recipe"] for preset in await client.presets()}
    assert [v["name"] for v in presets["standard"]["variants"]] == [
        "standard",
        "thumbnail",
        "grayscale",
    ]
    info = await client.info()
    assert "webp" in info["formats"]["write"]


async def test_following_survives_a_server_that_is_killed_and_started_again(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    first = ServerProcess(data_dir)
    second: ServerProcess | None = None
    starts = 0
    try:
        async with Client(first.url) as client:
            large = picture(size=(3000, 2000), format_="JPEG")
            job = await client.submit(BytesUpload(large, f"{n}.jpg") for n in range(50))
            async for message in client.follow(job["id"]):
                if message["type"] == "snapshot":
                    starts += 1
                if second is None:
                    first.kill()
                    second = ServerProcess(data_dir, first.port)
        assert starts == 2
        assert message["job"]["status"] == "completed"
        assert message["job"]["completed"] == 50
    finally:
        first.kill()
        if second is not None:
            second.stop()


async def test_following_gives_up_on_a_server_that_stays_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_S", 0)
    server = ServerProcess(tmp_path / "data")
    try:
        async with Client(server.url) as client:
            large = picture(size=(3000, 2000), format_="JPEG")
            job = await client.submit(BytesUpload(large, f"{n}.jpg") for n in range(50))
            with pytest.raises(ServerUnreachable):  # noqa: PT012  (it is the loop that raises)
                async for _ in client.follow(job["id"]):
                    server.kill()
    finally:
        server.kill()


def test_pauses_grow_up_to_a_bound_and_are_spread() -> None:
    pauses = [patience.pause_s(tries, 1.0) for tries in (1, 2, 3, 4, 5, 6, 100_000)]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert patience.pause_s(1, 0.0) == 0.1


async def test_a_job_deleted_while_it_is_waited_for_is_no_job_that_ended(client: Client) -> None:
    large = picture(size=(3000, 2000), format_="JPEG")
    images = [BytesUpload(large + bytes([number]), f"{number}.jpg") for number in range(30)]
    job = await client.submit(images)
    waiting = asyncio.create_task(client.wait(job["id"]))
    async for message in client.follow(job["id"]):
        if message["type"] == "image":
            break
    await client.delete(job["id"])
    with pytest.raises(ClientError, match="deleted"):
        await waiting


async def test_an_upload_that_made_way_for_others_is_sent_again() -> None:
    answers = iter((ApiError("request_timeout", 408, "too slow"), None))

    async def send() -> str:
        if error := next(answers):
            raise error
        return "accepted"

    sending = patience.Patience()
    sending.note_answer()
    assert await sending.insist(send) == "accepted"
