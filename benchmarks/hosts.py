"""Bare aiohttp servers to measure against, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from benchmarks.server import free_port

ADDRESSES = tuple(f"127.0.0.{number}" for number in range(1, 9))
"""Loopback as eight hosts, so that one host's share is not the limit."""


class BareHost:
    """`what` it does with `folder`: `receive` bodies into one file there, or `serve` its files."""

    def __init__(self, what: str, folder: Path) -> None:
        self._command = [sys.executable, "-m", "benchmarks.hosts", what, str(folder)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        if self._process.stdout is None or not (line := self._process.stdout.readline()):
            raise ChildProcessError("the bare server did not start")
        self.port = int(line)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate()


def receiving(folder: Path) -> web.Application:
    """Whatever is posted goes to a file, as it arrives."""

    async def receive(request: web.Request) -> web.Response:
        with (folder / "received").open("wb") as file:
            async for chunk in request.content.iter_any():
                file.write(chunk)
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/", receive)
    return app


def serving(folder: Path) -> web.Application:
    app = web.Application()
    app.router.add_static("/", folder)
    return app


def main() -> None:
    what, folder = sys.argv[1], Path(sys.argv[2])
    app = {"receive": receiving, "serve": serving}[what](folder)
    port = free_port()
    web.run_app(
        app,
        host=list(ADDRESSES),
        port=port,
        print=lambda *_: print(port, flush=True),  # it listens now
        access_log=None,
    )


if __name__ == "__main__":
    main()
