"""A server that is going to be killed, and the look for anything of it that lives on."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from tests.server_process import NotListening, ServerProcess
from tests.torture.points import MARK, Victims

LINGER_S = 5.0
"""How long processes may take to end that the kernel was told to end."""

SETTINGS = {
    "IMGSVC_FETCH__ALLOW_PRIVATE": "true",
    "IMGSVC_WEBHOOKS__ALLOW_PRIVATE": "true",
    "IMGSVC_SERVER__SHUTDOWN_GRACE_S": "5",
}


class Victim:
    """Started when made. server: None when it was killed before it listened."""

    def __init__(self, data_dir: Path, workers: int, settings: Mapping[str, str]) -> None:
        self._mark = uuid.uuid4().hex
        self.server: ServerProcess | None = None
        own = {**SETTINGS, **settings, MARK: self._mark}
        try:
            self.server = ServerProcess(
                data_dir, workers=workers, program="tests.torture.program", settings=own
            )
        except NotListening as exc:
            if exc.returncode != -9:
                raise

    def kill(self, victims: Victims) -> None:
        if self.server is None or self.server.process.poll() is not None:
            return
        if victims is not Victims.SERVER:
            for process in self.processes():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self.server.kill()

    def kill_worker(self, dice: random.Random) -> int:
        """How many there were to kill: 1 or 0."""
        workers = [p for p in self.processes() if "spawn_main" in _command(p)]
        if not workers:
            return 0
        with suppress(psutil.NoSuchProcess):
            dice.choice(workers).kill()
        return 1

    def processes(self) -> list[psutil.Process]:
        """The server and whatever it started that runs, whoever is its parent by now."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if (
                    process.environ().get(MARK) == self._mark
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(process)
        return found

    def count_survivors(self) -> int:
        """Of a dead server; they are not left alone."""
        give_up_at = time.monotonic() + LINGER_S
        while (left := self.processes()) and time.monotonic() < give_up_at:
            time.sleep(0.01)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self.server is not None:
            self.server.kill()  # to close what it had open
        return len(left)


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
