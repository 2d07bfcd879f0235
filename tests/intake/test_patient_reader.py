"""Bodies that drip, with a clock that is set by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from imgsvc.intake.documents import FREE_BYTES, DocumentRoom, Documents
from imgsvc.intake.patient_reader import (
    CROWDED_AFTER_S,
    CROWDED_BYTES_PER_S,
    MIN_BYTES_PER_S,
    PatientReader,
    TooSlow,
)


class Sender:
    """A body that is sent piece by piece; the clock goes on while its reader waits.

    pace_s: what each piece takes. unpacks_to: how often a byte of a packed one counts.
    """

    def __init__(self, pieces: int, size_bytes: int, pace_s: float, unpacks_to: int = 1) -> None:
        self.now_s = 0.0
        self.total_raw_bytes = 0
        self._left = pieces
        self._size_bytes = size_bytes
        self._pace_s = pace_s
        self._unpacks_to = unpacks_to
        self.is_waited_for = asyncio.Event()

    async def readany(self) -> bytes:
        self.now_s += self._pace_s
        if not self._left:
            self.is_waited_for.set()
            await asyncio.Event().wait()
        self._left -= 1
        self.total_raw_bytes += self._size_bytes
        return bytes(self._size_bytes * self._unpacks_to)

    def clock(self) -> float:
        return self.now_s

    def reader(self) -> PatientReader:
        return PatientReader(self, 1e9, 60.0, clock=self.clock)


async def read_all(reader: PatientReader) -> None:
    while await reader.read():
        pass


async def begin(sender: Sender) -> tuple[PatientReader, asyncio.Task[None]]:
    """A reader that has read all that there is and waits for more."""
    reader = sender.reader()
    reading = asyncio.create_task(read_all(reader))
    await sender.is_waited_for.wait()
    return reader, reading


async def end(reading: asyncio.Task[None]) -> None:
    reading.cancel()
    await asyncio.wait([reading])


@pytest.mark.parametrize(
    "sender",
    [
        lambda: Sender(10_000, 1, 1.0),
        lambda: Sender(10_000, int(MIN_BYTES_PER_S) - 100, 1.0),
        lambda: Sender(10_000, 10, 1.0, unpacks_to=1000),
    ],
    ids=["nothing", "a little", "packed"],
)
async def test_a_sender_below_the_least_rate_is_given_up(sender: Callable[[], Sender]) -> None:
    with pytest.raises(TooSlow, match="too slowly"):
        await read_all(sender().reader())


async def test_what_came_fast_at_first_buys_no_more_than_a_minute() -> None:
    sender = Sender(10, 1 << 20, 0.0)
    reader, reading = await begin(sender)
    await end(reading)
    sender._left, sender._size_bytes, sender._pace_s = 100, 1, 1.0
    with pytest.raises(TooSlow):
        await read_all(reader)
    assert 60 <= sender.now_s < 63


async def test_the_least_rate_is_enough() -> None:
    _, reading = await begin(Sender(1000, int(MIN_BYTES_PER_S), 1.0))
    await end(reading)


async def test_who_is_late_makes_way_and_who_is_not_stays() -> None:
    rate = int(CROWDED_BYTES_PER_S)
    slow_one, slow = await begin(Sender(100, rate // 2, 1.0))
    fast_one, fast = await begin(Sender(100, rate, 1.0))
    assert fast_one.behind_s <= 0 < slow_one.behind_s
    slow_one.make_way()
    with pytest.raises(TooSlow, match="while others wait"):
        await slow
    assert slow_one.behind_s == 0
    await end(fast)


async def test_nobody_is_late_at_once_nor_while_nobody_waits_for_it() -> None:
    sender = Sender(0, 0, 0.0)
    reader, reading = await begin(sender)
    sender.now_s = CROWDED_AFTER_S
    assert reader.behind_s <= 0
    sender.now_s += 1
    assert reader.behind_s == 1
    await end(reading)
    assert reader.behind_s == 0


async def test_slow_senders_give_up_the_room_that_their_documents_take() -> None:
    room = DocumentRoom(1000)
    senders = [Sender(0, 0, 0.0) for _ in range(3)]
    begun = [await begin(sender) for sender in senders]
    held = [Documents(room, reader) for reader, _ in begun]
    for documents, size_bytes in zip(held, (300, 300, 400), strict=True):
        documents.take(bytes(FREE_BYTES + size_bytes))
    for sender, late_s in zip(senders, (1, 2, -1), strict=True):
        sender.now_s = CROWDED_AFTER_S + late_s
    Documents(room).take(bytes(FREE_BYTES + 300))
    with pytest.raises(TooSlow):
        await begun[1][1]
    assert [reader.behind_s for reader, _ in begun] == [1, 0, -1]
    for _, reading in begun:
        await end(reading)
