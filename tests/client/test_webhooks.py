"""Webhooks from Python, with and without asyncio: the server here asks nobody inside."""

from __future__ import annotations

from imgsvc.client import BytesUpload, Client, Delivery, SyncClient
from tests.client.pictures import picture
from tests.server_process import ServerProcess

INSIDE = "http://127.0.0.1:8080/hook"


async def _given_up(client: Client, job_id: str) -> Delivery:
    """The job's only message, once it has failed: nothing tells of it."""
    while True:
        (delivery,) = [delivery async for delivery in client.deliveries(job_id)]
        if delivery["status"] == "failed":
            return delivery


async def test_messages_of_a_job_are_listed_and_sent_again(client: Client) -> None:
    upload = BytesUpload(picture("red"), "a.png")
    job = await client.submit([upload], webhook={"url": INSIDE, "events": ["job.finished"]})
    await client.wait(job["id"])
    delivery = await _given_up(client, job["id"])
    assert (delivery["last_error"], delivery["attempts"]) == ("blocked", 1)
    again = await client.redeliver(job["id"], delivery["id"])
    assert (again["id"], again["status"]) == (delivery["id"], "pending")
    await _given_up(client, job["id"])


async def test_a_job_that_is_open_names_its_receiver_by_its_url(client: Client) -> None:
    job = await client.open_job(webhook=INSIDE)
    assert [delivery async for delivery in client.deliveries(job["id"])] == []
    await client.close(job["id"])
    assert (await _given_up(client, job["id"]))["event"] == "job.finished"


def test_the_same_without_asyncio(server: ServerProcess) -> None:
    with SyncClient(server.url) as client:
        job = client.submit([BytesUpload(picture("red"), "a.png")], webhook=INSIDE)
        client.wait(job["id"])
        (delivery,) = client.deliveries(job["id"])
        assert client.redeliver(job["id"], delivery["id"])["id"] == delivery["id"]
        opened = client.open_job(webhook=INSIDE)
        assert list(client.deliveries(opened["id"])) == []
