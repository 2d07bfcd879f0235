"""A shop's pictures over HTTP, served by threads: for clients that are no coroutines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Shop(ThreadingHTTPServer):
    """pictures: by path; any other path is not found.

    told: bodies of what was POSTed, by whoever tells of something. gate: closed, answers wait.
    """

    daemon_threads = True

    def __init__(self, pictures: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pictures = pictures
        self.told: list[bytes] = []
        self.news = threading.Condition()
        self.gate = threading.Event()
        self.gate.set()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def wait_for(self, count: int) -> list[bytes]:
        """All that was told, once it is so much."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.told) >= count, timeout=30)
        return self.told


class _Handler(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        self.server.gate.wait(30)
        picture = self.server.pictures.get(self.path)
        self.send_response(404 if picture is None else 200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(picture or b"")))
        self.end_headers()
        self.wfile.write(picture or b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.news:
            self.server.told.append(body)
            self.server.news.notify_all()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def open_shop(pictures: dict[str, bytes]) -> Iterator[Shop]:
    with Shop(pictures) as shop:
        thread = threading.Thread(target=shop.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield shop
        finally:
            shop.gate.set()
            shop.shutdown()
            thread.join()
