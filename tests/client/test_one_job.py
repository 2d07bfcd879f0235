"""Submissions with a journal: one job, however often they are sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from imgsvc.client import (
    ApiError,
    BytesUpload,
    Client,
    Job,
    Journal,
    ServerUnreachable,
    UrlUpload,
)
from tests.client.conftest import LoseAnswer
from tests.client.pictures import picture

FEW = [BytesUpload(picture((n, 3, 3)), f"{n}.png") for n in range(3)]
URL = "http://127.0.0.1:9/a.jpg"
TABLE = f"S. No.,Product Name,Input Image Urls\n1,Shoe,{URL}\n".encode()


OF_ALL_KINDS = pytest.mark.parametrize(
    "submit",
    [
        lambda client, journal: client.submit(FEW, journal=journal),
        lambda client, journal: client.submit([], urls=[UrlUpload(URL)], journal=journal),
        lambda client, journal: client.submit_list(TABLE, journal=journal),
    ],
)


@OF_ALL_KINDS
async def test_it_is_one_job_however_often_it_is_sent(
    client: Client,
    journal: Journal,
    lose_answer: LoseAnswer,
    submit: Callable[[Client, Journal], Awaitable[Job]],
) -> None:
    lost = lose_answer(ServerUnreachable(client.server, "the connection broke"))
    with pytest.raises(ServerUnreachable):
        await submit(client, journal)
    assert journal.job_id is None
    again = await submit(client, journal)
    assert ([again["id"]], again["open"]) == (lost, False)
    assert (await submit(client, journal))["id"] == again["id"]
    await client.delete(again["id"])
    assert (await submit(client, journal))["id"] != again["id"]


@pytest.mark.parametrize("end", [Client.close, Client.delete])
@OF_ALL_KINDS
async def test_a_job_that_was_ended_before_its_answer_came_is_not_taken_for_a_new_one(
    client: Client,
    journal: Journal,
    lose_answer: LoseAnswer,
    submit: Callable[[Client, Journal], Awaitable[Job]],
    end: Callable[[Client, str], Awaitable[object]],
) -> None:
    """The answer that is given once more still has it open, or pending."""
    lost = lose_answer(ServerUnreachable(client.server, "the connection broke"))
    with pytest.raises(ServerUnreachable):
        await submit(client, journal)
    before = await client.job(lost[0])
    await end(client, lost[0])
    job = await client.job((await submit(client, journal))["id"])
    is_of_use = end is Client.close and not before["open"]
    assert (job["id"] == lost[0], job["total"] > 0) == (is_of_use, True)


@pytest.mark.parametrize("others", [FEW, FEW[:1], FEW[2:]])
async def test_files_are_sent_as_they_are_after_an_answer_was_lost(
    client: Client, journal: Journal, lose_answer: LoseAnswer, others: list[BytesUpload]
) -> None:
    lost = lose_answer(ServerUnreachable(client.server, "the connection broke"))
    with pytest.raises(ServerUnreachable):
        await client.submit(FEW[:2], journal=journal)
    job = await client.submit(others, journal=journal)
    assert ([job["id"]], job["total"]) == (lost, len(others))


async def test_a_job_that_was_cancelled_is_begun_anew_even_if_it_has_everything(
    client: Client, journal: Journal
) -> None:
    slow = {"variants": [{"name": "large", "width": 4000, "enlarge": True, "format": "png"}]}
    job = await client.submit(FEW, recipe=slow, journal=journal)
    assert (await client.cancel(job["id"]))["status"] == "cancelled"
    assert (await client.submit(FEW, journal=journal))["id"] != job["id"]


async def test_where_no_file_is_to_be_sent_nobody_asks_which_have_arrived(
    client: Client, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job may have ten thousand images by URL."""
    job = await client.submit_list(TABLE, journal=journal)
    monkeypatch.setattr(client, "images", None)
    assert (await client.submit_list(TABLE, journal=journal))["id"] == job["id"]


@pytest.fixture
async def gateway() -> AsyncIterator[str]:
    """The URL of one that knows of no server behind it at the moment."""
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_gateway_that_knows_of_no_server_says_nothing_of_a_job(
    client: Client, journal: Journal, gateway: str
) -> None:
    job = await client.submit(FEW, journal=journal)
    async with Client(gateway) as astray:
        with pytest.raises(ApiError) as caught:
            await astray.submit(FEW, journal=journal)
        assert caught.value.code == "http_404"
        with pytest.raises(ApiError) as caught:
            await anext(astray.follow(job["id"]))
        assert caught.value.code == "http_404"
    assert (await client.submit(FEW, journal=journal))["id"] == job["id"]
