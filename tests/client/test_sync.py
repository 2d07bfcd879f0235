"""The client without asyncio: the same methods, with the same answers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsvc.client import ApiError, BytesUpload, Client, SyncClient
from tests.client.pictures import picture
from tests.server_process import ServerProcess


@pytest.fixture
def sync_client(server: ServerProcess) -> Iterator[SyncClient]:
    with SyncClient(server.url) as connected:
        yield connected


def test_it_has_every_method_with_the_same_parameters() -> None:
    def methods(cls: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in inspect.getmembers(cls, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(SyncClient) == methods(Client)


def test_a_job_from_submit_to_download(sync_client: SyncClient, tmp_path: Path) -> None:
    uploads = [BytesUpload(picture((n, 3, 3)), f"{n}.png") for n in range(3)]
    job = sync_client.submit(uploads, preset="thumbnail", label="sync")
    messages = list(sync_client.follow(job["id"]))
    assert messages[-1]["type"] == "end"
    assert sync_client.wait(job["id"])["status"] == "completed"
    assert [image["name"] for image in sync_client.images(job["id"])] == ["0.png", "1.png", "2.png"]
    assert [found["id"] for found in sync_client.jobs(label="sync")] == [job["id"]]
    assert sync_client.download(job["id"], tmp_path).saved == 3
    assert sync_client.download_archive(job["id"], tmp_path / "all.zip") > 0
    sync_client.delete(job["id"])
    with pytest.raises(ApiError):
        sync_client.job(job["id"])


def test_an_open_job_is_filled_and_closed(sync_client: SyncClient) -> None:
    job = sync_client.open_job(preset="thumbnail")
    assert (job["open"], job["total"]) == (True, 0)
    accepted = sync_client.append(job["id"], [BytesUpload(picture((9, 9, 9)), "a.png")])
    assert accepted == [{"index": 0, "name": "a.png"}]
    assert sync_client.close(job["id"])["open"] is False
    assert sync_client.wait(job["id"])["completed"] == 1
    with pytest.raises(ApiError) as caught:
        sync_client.append(job["id"], [BytesUpload(picture(), "b.png")])
    assert caught.value.code == "job_closed"


def test_a_list_need_not_be_read_to_its_end(sync_client: SyncClient) -> None:
    for number in range(2):
        sync_client.submit([BytesUpload(picture((number, 4, 4)), "a.png")], label="partly")
    jobs = sync_client.jobs(label="partly")
    assert next(jobs)["label"] == "partly"
    jobs.close()  # type: ignore[attr-defined]
    assert sync_client.info()["name"] == "imgsvc"
