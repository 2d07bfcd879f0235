"""What a server and its workers hold: memory and open handles."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import psutil

_INTERVAL_S = 0.05


class Holdings(NamedTuple):
    """workers_bytes: resident, of all together. worker_bytes, worker_handles: of the one that
    has most.
    """

    server_bytes: int
    server_handles: int
    server_threads: int
    workers: int
    workers_bytes: int
    worker_bytes: int
    worker_handles: int


@dataclass
class Peaks:
    """The most at any moment that was looked at: of all workers, of one, and of the server."""

    workers_bytes: int = 0
    worker_bytes: int = 0
    server_bytes: int = 0
    looks: int = field(default=0)

    def note(self, server_bytes: int, workers_bytes: list[int]) -> None:
        self.looks += 1
        self.server_bytes = max(self.server_bytes, server_bytes)
        self.workers_bytes = max(self.workers_bytes, sum(workers_bytes))
        self.worker_bytes = max(self.worker_bytes, *workers_bytes, 0)


class Gauge:
    """Looks at a server by its process id."""

    def __init__(self, pid: int) -> None:
        self._server = psutil.Process(pid)

    def read(self) -> Holdings:
        workers = self._workers()
        workers_bytes = [_resident_bytes(worker) for worker in workers]
        return Holdings(
            self._server.memory_info().rss,
            self._server.num_fds(),
            self._server.num_threads(),
            len(workers),
            sum(workers_bytes),
            max(workers_bytes, default=0),
            max((_count_handles(worker) for worker in workers), default=0),
        )

    @contextmanager
    def watching(self) -> Iterator[Peaks]:
        """Look twenty times a second as long as the block lasts."""
        peaks, stopping = Peaks(), threading.Event()

        def look() -> None:
            while not stopping.wait(_INTERVAL_S):
                workers_bytes = [_resident_bytes(worker) for worker in self._workers()]
                peaks.note(_resident_bytes(self._server), workers_bytes)

        thread = threading.Thread(target=look, name="gauge", daemon=True)
        thread.start()
        try:
            yield peaks
        finally:
            stopping.set()
            thread.join()

    def list_workers(self) -> set[int]:
        """Their process ids."""
        return {worker.pid for worker in self._workers()}

    def _workers(self) -> list[psutil.Process]:
        """Those that render. Python's own resource tracker is a child too."""
        return [child for child in self._server.children() if _is_worker(child)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "resource_tracker" not in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _resident_bytes(process: psutil.Process) -> int:
    """0 when it is gone."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _count_handles(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except psutil.Error:
        return 0
