"""A real server in a process of its own, and what it costs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import psutil

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 45.0
_POLL_S = 0.005
_SAMPLE_S = 0.25


class ServerDied(Exception):
    """The server ended before it was asked to; the message holds the end of its log."""


class ServerProcess:
    """`imgsvc serve` on a free port; ready when the block begins, stopped when it ends.

    settings: environment variables that it runs with; everything else is by default.
    start_s: from the start of the process to the first answer that it is ready.
    peak_worker_bytes: most memory that any worker process has held.
    """

    def __init__(
        self, data_dir: Path, workers: int, settings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start_s = 0.0
        self.peak_worker_bytes = 0
        self._log = data_dir.with_name(data_dir.name + ".log")
        self._command = [
            *(sys.executable, "-m", "imgsvc", "serve"),
            *("--port", str(self.port), "--data", str(data_dir), "--workers", str(workers)),
        ]
        self._environment = {**_environment(), **settings}
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        begin = time.perf_counter()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )
        self._server = psutil.Process(self._process.pid)
        try:
            self._await_ready(begin + START_TIMEOUT_S)
        except BaseException:
            self._end()
            raise
        self.start_s = time.perf_counter() - begin
        self._sampler = threading.Thread(target=self._sample_workers, daemon=True)
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._sampler.join()
        self._end()

    def log_tail(self) -> str:
        """The end of what the server has logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def cpu_s(self) -> float:
        """Processor seconds of the server process itself, without its workers."""
        times = self._server.cpu_times()
        return times.user + times.system

    def resident_bytes(self) -> int:
        """What the server process itself holds now."""
        resident: int = self._server.memory_info().rss
        return resident

    def workers_bytes(self) -> int:
        """What all its other processes hold now."""
        held = 0
        for child in self._server.children():
            with suppress(psutil.Error):  # gone meanwhile
                held += child.memory_info().rss
        return held

    def open_files(self) -> int:
        """Descriptors of the server process itself."""
        count: int = self._server.num_fds()
        return count

    def peak_bytes(self) -> int:
        """Most memory that the server process itself has held."""
        return _peak_bytes(self._server.pid)

    def _await_ready(self, deadline: float) -> None:
        while time.perf_counter() < deadline:
            if self._process.poll() is not None:
                raise ServerDied(self.log_tail())
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=1):  # noqa: S310
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(_POLL_S)
        raise ServerDied(
            f"not ready after {START_TIMEOUT_S:.0f} s\n{self._log.read_text()[-2000:]}"
        )

    def _sample_workers(self) -> None:
        while not self._stopping.wait(_SAMPLE_S):
            for child in self._server.children():
                self.peak_worker_bytes = max(self.peak_worker_bytes, _peak_bytes(child.pid))

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _peak_bytes(pid: int) -> int:
    """VmHWM, the high-water mark of resident memory; 0 when the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def _environment() -> dict[str, str]:
    """Ours without the settings in it: a measurement runs with the defaults."""
    return {name: value for name, value in os.environ.items() if not name.startswith("IMGSVC_")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
