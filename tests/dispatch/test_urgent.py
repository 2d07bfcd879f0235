"""The urgent lane: one file, made once, ahead of all images of jobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from imgsvc.dispatch.dispatcher import MAX_OVERTAKEN
from imgsvc.dispatch.urgent import PLACES_PER_WORKER, UrgentLane
from imgsvc.domain.states import JobState
from imgsvc.errors import ImageError, QueueFull, ShuttingDown
from imgsvc.recipes.model import Recipe, canonical_json
from imgsvc.service.wait import Waiter
from tests.pictures import make_jpeg
from tests.runtime.faulty import fault, render
from tests.servers import Running, form_of, leftovers, make_settings, running_server
from tests.workers.conftest import Gate

MIB = 1 << 20
RECIPE = canonical_json(
    Recipe.model_validate({"variants": [{"name": "only", "width": 20, "format": "png"}]})
)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    workers = {"size": 1, "memory_bytes": 512 * MIB, "timeout_s": 3.0}
    async with running_server(make_settings(tmp_path / "data", workers=workers), render) as running:
        yield running


class Customer:
    """Brings files to the lane of a server."""

    def __init__(self, server: Running, folder: Path) -> None:
        self.lane: UrgentLane = server.core.dispatcher.urgent
        self._folder = folder
        self._count = 0

    def bring(self, content: bytes) -> asyncio.Task[bytes]:
        """What becomes of the file: its only output."""
        self._count += 1
        path = self._folder / f"urgent-{self._count}"
        path.write_bytes(content)
        return asyncio.create_task(self._render(path))

    async def _render(self, path: Path) -> bytes:
        async with self.lane.render(path, RECIPE) as product:
            (output,) = product.rendered.outputs
            return product.path(output).read_bytes()


@pytest.fixture
def customer(server: Running, tmp_path: Path) -> Customer:
    return Customer(server, tmp_path)


async def _submit(server: Running, *contents: bytes) -> str:
    spec = json.dumps({"recipe": json.loads(RECIPE), "reuse": False})
    files = [(f"{n}.jpg", content) for n, content in enumerate(contents)]
    async with server.http.post("/api/v1/jobs", data=form_of(*files, spec=spec)) as answer:
        assert answer.status == 202
        return str((await answer.json())["id"])


def _behind(gate: Gate) -> bytes:
    """An image that is worked on until the gate is opened for one more."""
    word, _, rest = gate.content.partition(" ")
    return fault(word, rest)


async def _held_up(server: Running, gate: Gate, *more: bytes) -> str:
    """A job whose first image keeps a worker until the gate opens; all are warm."""
    await _until(lambda: all(slot.is_ready for slot in server.core.pool._slots.values()))
    job_id = await _submit(server, _behind(gate), *more)
    await _until(lambda: any(worker.bundles for worker in server.core.pool.workers()))
    return job_id


async def _end(server: Running, job_id: str) -> JobState:
    job = await Waiter(server.core.store, server.core.hub).wait(job_id, 30)
    return job.state


async def _until(met: Callable[[], bool]) -> None:
    """Nothing tells of what the lane and the pool are at within."""
    while not met():  # noqa: ASYNC110
        await asyncio.sleep(0)


def _has_begun(server: Running) -> bool:
    workers = [worker for slot in server.core.pool._slots.values() for worker in slot._workers]
    return any(worker.mark.ordinal for worker in workers)


def _slot_files(server: Running) -> list[str]:
    return [path for path in leftovers(server.core.settings.storage.data_dir) if "slots" in path]


async def test_the_outputs_are_there_and_gone_with_the_context(
    server: Running, customer: Customer
) -> None:
    assert (await customer.bring(make_jpeg(60, 40))).startswith(b"\x89PNG")
    assert _slot_files(server) == []


async def test_it_is_made_before_what_a_job_has_queued(
    server: Running, customer: Customer, gate: Gate
) -> None:
    pictures = [make_jpeg(30 + n, 20) for n in range(29)]
    again = _behind(gate)
    job_id = await _held_up(server, gate, *pictures[:2], again, *pictures[2:])
    made = customer.bring(make_jpeg(60, 40))
    await _until(lambda: customer.lane.in_flight == 1)
    gate.open()
    await made
    assert (await server.core.store.job(job_id)).completed <= 3  # of 31
    gate.open()
    assert await _end(server, job_id) is JobState.COMPLETED


async def test_what_made_way_for_it_loses_no_try(
    server: Running, customer: Customer, gate: Gate
) -> None:
    job_id = await _held_up(server, gate, *[make_jpeg(30 + n, 20) for n in range(5)])
    made = [customer.bring(make_jpeg(60 + n, 40)) for n in range(3)]
    gate.open()
    await asyncio.gather(*made)
    assert await _end(server, job_id) is JobState.COMPLETED
    images, _ = await server.core.store.images(job_id, limit=100)
    assert [image.attempts for image in images] == [1] * 6


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no image at all", "unsupported_format"),
        (fault("crash"), "worker_crashed"),
        (fault("hang"), "timeout"),
        (fault("raise"), "internal"),
        (fault("abort-for-memory"), "out_of_memory"),
        (fault("needs-memory", 513 * MIB), "out_of_memory"),
    ],
)
async def test_what_cannot_be_made_is_told_by_its_code(
    server: Running, customer: Customer, content: bytes, code: str
) -> None:
    with pytest.raises(ImageError) as caught:
        await customer.bring(content)
    assert caught.value.code == code
    assert _slot_files(server) == []
    assert await customer.bring(make_jpeg(60, 40))


async def test_a_crash_that_does_not_happen_again_is_not_told(
    server: Running, customer: Customer, gate: Gate
) -> None:
    word, _, rest = gate.content.partition(" ")
    made = customer.bring(fault(word, rest))
    await _until(lambda: _has_begun(server))
    server.core.pool._slots[0]._workers[0].process.kill()
    gate.open(2)
    assert await made


async def test_a_heavy_one_is_made_when_there_is_room(tmp_path: Path, gate: Gate) -> None:
    settings = make_settings(tmp_path / "data", workers={"size": 2, "memory_bytes": 400 * MIB})
    async with running_server(settings, render) as server:
        customer = Customer(server, tmp_path)
        job_id = await _held_up(server, gate)
        heavy = customer.bring(fault("needs-memory", 300 * MIB))
        await _until(lambda: any(errand.cost_bytes for errand in customer.lane._waiting))
        behind = customer.bring(fault("ok", "x"))
        await asyncio.sleep(0)
        await server.core.dispatcher.run_once()
        assert customer.lane.in_flight == 0  # the job's image is in memory, and none overtakes
        gate.open()
        assert await heavy
        assert await behind
        assert await _end(server, job_id) is JobState.COMPLETED


async def test_a_heavy_image_of_a_job_is_passed_only_so_often(tmp_path: Path, gate: Gate) -> None:
    settings = make_settings(tmp_path / "data", workers={"size": 2, "memory_bytes": 400 * MIB})
    async with running_server(settings, render) as server:
        customer = Customer(server, tmp_path)
        await _held_up(server, gate)
        heavy = await _submit(server, fault("needs-memory", 300 * MIB))
        waiting = server.core.dispatcher._waiting
        await _until(
            lambda: any(piece.image.memory_bytes for bundle in waiting for piece in bundle)
        )
        for _ in range(MAX_OVERTAKEN):
            await customer.bring(fault("ok", "x"))
        # An answer may be here before the dispatcher has come back from handing its task over.
        await _until(lambda: server.core.dispatcher._overtaken == MAX_OVERTAKEN)
        late = customer.bring(fault("ok", "x"))
        await asyncio.sleep(0)
        await server.core.dispatcher.run_once()
        assert customer.lane.in_flight == 0
        gate.open()
        await late
        assert await _end(server, heavy) is JobState.COMPLETED


async def test_when_too_many_wait_the_next_is_sent_away(
    server: Running, customer: Customer, gate: Gate
) -> None:
    word, _, rest = gate.content.partition(" ")
    made = [customer.bring(fault(word, rest)) for _ in range(2)]
    await _until(lambda: customer.lane.in_flight == 2)
    made += [customer.bring(fault(word, rest)) for _ in range(PLACES_PER_WORKER)]
    with pytest.raises(QueueFull) as caught:
        await customer.bring(make_jpeg(60, 40))
    assert caught.value.retry_after_s
    gate.open(len(made))
    await asyncio.gather(*made)
    await customer.bring(make_jpeg(60, 40))


async def test_who_goes_away_leaves_nothing(
    server: Running, customer: Customer, gate: Gate
) -> None:
    word, _, rest = gate.content.partition(" ")
    made = [customer.bring(fault(word, rest)) for _ in range(3)]
    await _until(lambda: customer.lane.in_flight == 2)
    for one in made:
        one.cancel()
    await asyncio.wait(made)
    assert not customer.lane.waits
    gate.open(2)
    await customer.bring(make_jpeg(60, 40))
    await server.core.dispatcher.run_once()
    assert _slot_files(server) == []


async def test_a_stop_sends_away_who_waits_and_finishes_what_runs(
    server: Running, customer: Customer, gate: Gate
) -> None:
    word, _, rest = gate.content.partition(" ")
    running = customer.bring(fault(word, rest))
    await _until(lambda: _has_begun(server))
    waiting = [customer.bring(make_jpeg(60, 40)) for _ in range(3)]
    await _until(lambda: customer.lane.in_flight == 2)
    stopping = asyncio.create_task(server.core.stop())
    for one in waiting:
        with pytest.raises(ShuttingDown):
            await one
    gate.open()
    assert await running
    await stopping
    with pytest.raises(ShuttingDown):
        await customer.bring(make_jpeg(60, 40))
    assert _slot_files(server) == []
