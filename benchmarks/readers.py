"""Many readers of one job's progress, in a process of their own that costs next to nothing.

They take what comes and look at none of it: what is measured is the server, not its clients.
"""

from __future__ import annotations

import multiprocessing
import selectors
import socket
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

_HANDSHAKE = (
    "GET /api/v1/jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_CHUNK_BYTES = 1 << 20


class Readers:
    """`count` WebSockets on a job, all open when the block begins; closed by the server."""

    def __init__(self, port: int, job_id: str, count: int) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_read, args=(port, job_id, count, theirs))

    def __enter__(self) -> Self:
        self._process.start()
        self._ours.recv()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.terminate()
        self._process.join()

    def received_bytes(self) -> int:
        """By all of them together, once the server has closed every one."""
        received: int = self._ours.recv()
        return received


def _read(port: int, job_id: str, count: int, report: Connection) -> None:
    selector = selectors.DefaultSelector()
    for _ in range(count):
        reader = socket.create_connection(("127.0.0.1", port))
        reader.sendall(_HANDSHAKE.format(job_id=job_id).encode())
        if not reader.recv(4096).startswith(b"HTTP/1.1 101"):
            raise ConnectionError("the server takes no more readers")
        selector.register(reader, selectors.EVENT_READ)
    report.send(count)
    received_bytes = 0
    while selector.get_map():
        for key, _ in selector.select():
            data = key.fileobj.recv(_CHUNK_BYTES)  # type: ignore[union-attr]
            received_bytes += len(data)
            if not data:
                selector.unregister(key.fileobj)
    report.send(received_bytes)
