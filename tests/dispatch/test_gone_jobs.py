"""What the dispatcher learns of a job that is gone is not kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from imgsvc.dispatch.dispatcher import Dispatcher
from imgsvc.dispatch.pieces import Piece
from imgsvc.dispatch.recorder import Returned
from tests.factories import make_image
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, make_settings, running_server, submit


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_server(make_settings(tmp_path / "data")) as running:
        yield running


def _known_jobs(dispatcher: Dispatcher) -> set[str]:
    """Of which anything is kept."""
    reuse = dispatcher._reuse
    return {*dispatcher._jobs, *dispatcher._pace._mean_ms, *reuse._refused, *reuse._runs}


async def test_nothing_is_kept_of_an_image_that_ends_after_its_job_was_deleted(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = server.core.dispatcher
    handle = dispatcher._handle_outcome
    ended = asyncio.Event()
    late: list[tuple[Any, ...]] = []

    def hold(*outcome: Any) -> None:
        late.append(outcome)
        ended.set()

    monkeypatch.setattr(dispatcher, "_handle_outcome", hold)
    form = form_of(("a.jpg", make_jpeg()))
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job = await answer.json()
    await ended.wait()
    async with server.http.delete(job["links"]["self"]) as answer:
        assert answer.status == 204
    for outcome in late:
        handle(*outcome)
    await dispatcher.recorder.flush()
    assert _known_jobs(dispatcher) == set()


async def test_nothing_is_kept_of_results_that_cannot_be_linked_for_a_job_that_was_deleted(
    server: Running,
) -> None:
    dispatcher = server.core.dispatcher
    dispatcher._take_back([Returned(make_image(job_id="gone"), counts=False, unlinked=True)])
    assert _known_jobs(dispatcher) == set()


async def test_nothing_is_kept_of_a_search_that_ends_after_its_job_was_deleted(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = server.core.dispatcher
    picture = make_jpeg()
    await submit(server, ("a.jpg", picture))
    search = dispatcher._reuse.sort_out
    searched = asyncio.Event()

    async def delete_meanwhile(pieces: Sequence[Piece]) -> list[Piece]:
        found = await search(pieces)
        job_id = pieces[0].image.job_id
        async with server.http.delete(f"/api/v1/jobs/{job_id}") as answer:
            assert answer.status == 204
        searched.set()
        return found

    monkeypatch.setattr(dispatcher._reuse, "sort_out", delete_meanwhile)
    async with server.http.post("/api/v1/jobs", data=form_of(("b.jpg", picture))) as answer:
        assert answer.status == 202
    await searched.wait()
    await dispatcher.recorder.flush()
    assert _known_jobs(dispatcher) == set()
