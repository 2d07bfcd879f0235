"""Rounds of work and death on one data folder, and the check at their end."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired

import aiohttp

from imgsvc.domain.retries import TOOK_THE_SERVER_DOWN
from tests.fetching.hosts import answer, running_host
from tests.receivers import Receiver, open_receiver
from tests.torture.inspection import Checked, inspect_killed, inspect_stopped, read_images
from tests.torture.orders import PICTURES, Order, OrderBook
from tests.torture.points import FINDINGS, PLAN, RANDOM, WORKERS, Plan, Victims
from tests.torture.report import Report
from tests.torture.traffic import LOST, Traffic
from tests.torture.verdict import judge, told_images
from tests.torture.victim import Victim

DEATH_S = 3.0
"""How long a planned death may take once the clients have done; then it comes from outside."""

END_S = 120.0
"""How long what is left may take in the end."""


async def torture(
    folder: Path, schedule: Sequence[Plan | str], *, seed: int, lanes: int, workers: int
) -> Report:
    """All these deaths, on as many data folders side by side as there are lanes."""
    report = Report()
    async with open_receiver() as receiver, running_host() as host:
        host.answers |= {f"/{n}.jpg": answer(p) for n, p in enumerate(PICTURES)}
        tasks = []
        async with asyncio.TaskGroup() as group:
            for number in range(lanes):
                dice = random.Random(f"{seed} {number}")  # noqa: S311 - repeatable, not secret
                book = OrderBook(f"{seed}-{number}", dice, host.url().rstrip("/"), receiver.url)
                lane = Lane(folder / str(number), book, receiver, dice, workers)
                tasks.append(group.create_task(lane.run(schedule[number::lanes])))
    for task in tasks:
        report.add(task.result())
    return report


class Lane:
    """One data folder and all that is done to it."""

    def __init__(
        self,
        folder: Path,
        book: OrderBook,
        receiver: Receiver,
        dice: random.Random,
        workers: int,
    ) -> None:
        folder.mkdir(parents=True)
        self._data_dir = folder / "data"
        self._findings = folder / "findings"
        self._book = book
        self._receiver = receiver
        self._dice = dice
        self._workers = workers
        self._traffic = Traffic(book, dice)
        self._checked: Checked = set()
        self.report = Report()

    async def run(self, schedule: Sequence[Plan | str]) -> Report:
        for death in schedule:
            await self._run_round(death)
        await self._run_to_the_end()
        self.report.broken += self._traffic.faults
        messages = [m for m in self._receiver.messages if f"/{self._book.name}-" in m.path]
        await asyncio.to_thread(
            judge, self._data_dir, self._book.orders, messages, self._traffic.seen, self.report
        )
        return self.report

    async def _run_round(self, death: Plan | str) -> None:
        victim = await self._start(death if isinstance(death, Plan) else None)
        if victim.server is not None:
            work = asyncio.create_task(self._traffic.run(victim.server.url))
            try:
                await self._bring_death(victim, death, work)
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                await asyncio.to_thread(victim.kill, Victims.SERVER)
        self.report.kills[death.step if isinstance(death, Plan) else death] += 1
        await self._look_at_the_remains(victim, death)

    async def _start(self, plan: Plan | None) -> Victim:
        settings = {FINDINGS: str(self._findings)}
        if plan is not None:
            settings[PLAN] = plan.dump()
        self._findings.unlink(missing_ok=True)
        victim = await asyncio.to_thread(Victim, self._data_dir, self._workers, settings)
        if self._findings.exists():
            self.report.file(json.loads(self._findings.read_text()))
        elif victim.server is not None:
            self.report.broken.append("a start without a recovery")
        return victim

    async def _bring_death(
        self, victim: Victim, death: Plan | str, work: asyncio.Task[None]
    ) -> None:
        assert victim.server is not None
        if isinstance(death, Plan):
            if death.step == "shutdown":
                await asyncio.sleep(self._dice.uniform(0.0, 0.5))
                victim.server.process.send_signal(signal.SIGTERM)
            else:
                await work
            with suppress(TimeoutExpired):
                await asyncio.to_thread(victim.server.process.wait, DEATH_S)
                if victim.server.process.returncode == -signal.SIGKILL:
                    return
            self.report.missed += 1
        elif death == WORKERS:
            for _ in range(self._dice.randint(2, 5)):
                await asyncio.sleep(self._dice.uniform(0.0, 0.2))
                killed = await asyncio.to_thread(victim.kill_worker, self._dice)
                self.report.worker_kills += killed
        elif death == RANDOM:
            await asyncio.sleep(self._dice.uniform(0.0, 0.6))
        await asyncio.to_thread(victim.kill, self._dice.choice(list(Victims)))

    async def _look_at_the_remains(self, victim: Victim, death: Plan | str) -> None:
        survivors = await asyncio.to_thread(victim.count_survivors)
        self.report.survivors += [f"{survivors} after {death}"] if survivors else []
        if (self._data_dir / "imgsvc.db").exists():
            lines = await asyncio.to_thread(inspect_killed, self._data_dir, self._checked)
            self.report.file([f"{line} after {death}" for line in lines])

    async def _run_to_the_end(self) -> None:
        """A server that nobody kills finishes everything, and stops by itself."""
        victim = await self._start(None)
        assert victim.server is not None
        try:
            async with asyncio.timeout(END_S):
                async with aiohttp.ClientSession(victim.server.url) as http:
                    await self._finish(http)
        except LOST as exc:
            self.report.lost.append(f"it did not come to an end: {exc!r}")
        await asyncio.to_thread(victim.server.stop)
        if victim.server.process.returncode:
            self.report.broken.append(f"exit code {victim.server.process.returncode}")
        self.report.survivors += [""] * await asyncio.to_thread(victim.count_survivors)
        self.report.file(await asyncio.to_thread(inspect_stopped, self._data_dir, self._checked))

    async def _finish(self, http: aiohttp.ClientSession) -> None:
        while not all(order.is_done or not order.repeats for order in self._book.orders):
            await self._traffic.repeat(http)
        await self._until_final(http)
        for row in await asyncio.to_thread(read_images, self._data_dir):
            if row["error_code"] == "worker_crashed":
                died = row["error_message"] == TOOK_THE_SERVER_DOWN.message
                self.report.blamed["by servers" if died else "by workers"] += 1
                (order,) = (o for o in self._book.orders if o.label == row["label"])
                order.asked.add("retry")
                async with http.post(f"/api/v1/jobs/{row['job_id']}/retry"):
                    pass
        await self._until_final(http)
        await self._until_all_is_told(http)

    async def _until_final(self, http: aiohttp.ClientSession) -> None:
        for order in self._book.orders:
            if order.done and "delete" not in order.asked:
                await self._traffic.follow(http, order)

    async def _until_all_is_told(self, http: aiohttp.ClientSession) -> None:
        """Images are told of a second after they have ended, then the receiver has to answer."""
        for order in self._book.orders:
            path = f"/api/v1/jobs/{order.job_id}/deliveries"
            while order.has_hook and order.done and "delete" not in order.asked:
                async with http.get(path) as response:
                    items = (await response.json())["items"]
                are_sent = items and all(item["status"] == "delivered" for item in items)
                if are_sent and (order.asked or self._is_told_of_all(order)):
                    break
                await asyncio.sleep(0.05)

    def _is_told_of_all(self, order: Order) -> bool:
        told = [m for m in self._receiver.messages if m.path == f"/{order.label}"]
        return len(told_images(told)) >= len(order.wishes)
