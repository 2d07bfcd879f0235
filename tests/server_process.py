"""`imgsvc serve` in a process of its own, as users run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

STOP_TIMEOUT_S = 20


class NotListening(AssertionError):
    """The server ended before it listened. returncode: as of Popen."""

    def __init__(self, said: str, returncode: int) -> None:
        super().__init__(said)
        self.returncode = returncode


class ServerProcess:
    """Started when made; `url` is where it listens. program: what to run instead of imgsvc.

    settings: more of them, as variables. within: a command that runs the one which follows it.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        workers: int = 1,
        program: str = "imgsvc",
        settings: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        self.data_dir = data_dir
        command = [*within, sys.executable, "-m", program, "serve", f"--port={port}"]
        command.append(f"--workers={workers}")
        own = {"IMGSVC_LOG__FORMAT": "json", "IMGSVC_STORAGE__RESERVE_BYTES": "0"}
        self.process = subprocess.Popen(
            [*command, f"--data={data_dir}"],
            env={**os.environ, **own, **(settings or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self._errors = self.process.stderr
        self.url = self._read_url()
        self._drain = threading.Thread(target=self._read_on, daemon=True)
        self._drain.start()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def post(self, path: str, body: object) -> dict[str, object]:
        """POST JSON, for what the client under test has no method for."""
        request = urllib.request.Request(  # noqa: S310  (our own URL)
            self.url + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            document: dict[str, object] = json.load(answer)
            return document

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal; returns when it is gone."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=STOP_TIMEOUT_S)
        self._drain.join(timeout=STOP_TIMEOUT_S)
        self._errors.close()

    def kill(self) -> None:
        """End it without warning; a second call does nothing."""
        self.stop(signal.SIGKILL)

    def _read_url(self) -> str:
        seen = []
        for line in self._errors:
            seen.append(line)
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "listening":
                return str(event["url"])
        returncode = self.process.wait()
        self._errors.close()
        raise NotListening("".join(seen), returncode)

    def _read_on(self) -> None:
        """A pipe that nobody reads would stop the server once it is full."""
        for _ in self._errors:
            pass


@contextmanager
def server_process(data_dir: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(data_dir)
    try:
        yield server
    finally:
        server.stop()
