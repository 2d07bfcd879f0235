"""Fetching one image from one host: requests, redirects, bytes, all of it within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from yarl import URL

from imgsvc import __version__
from imgsvc.blobs.stage import StagedFile
from imgsvc.config import FetchSettings
from imgsvc.domain.sniffing import HEAD_BYTES, sniff
from imgsvc.domain.times import now_ms
from imgsvc.errors import ImageErrorCode
from imgsvc.fetching.answers import check_answer, find_redirect
from imgsvc.fetching.breakers import Breakers
from imgsvc.fetching.unfetched import (
    LedOn,
    Unfetched,
    fetch_failed,
    fetch_timeout,
    not_an_image,
)
from imgsvc.fetching.url_images import blocked
from imgsvc.fetching.ways import Way
from imgsvc.intake.patient_reader import PatientReader, TooSlow
from imgsvc.intake.reception import EMPTY, too_many_bytes
from imgsvc.net.guard import Bar, Blocked, Guard, host_of
from imgsvc.net.session import open_session
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

STALL_S = 10.0
"""How long a body may bring nothing before it is given up."""

SLOW_AFTER_S = 10.0
"""How long we may have waited for a body in all before its rate counts."""

_HEADERS = {
    "User-Agent": f"imgsvc/{__version__}",
    "Accept": "image/*,*/*;q=0.5",
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True, slots=True)
class _Order:
    """insists: as in `fetch`."""

    way: Way
    file: StagedFile
    max_bytes: int
    insists: bool


class Fetcher:
    """Must be made where an event loop runs, and closed. clock: milliseconds since 1970."""

    def __init__(
        self,
        settings: FetchSettings,
        breakers: Breakers,
        *,
        max_image_bytes: int,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._settings = settings
        self._breakers = breakers
        self._max_image_bytes = max_image_bytes
        self._clock = clock
        self._guard = Guard(settings.allow_private, settings.allowed_hosts)
        self._session = open_session(
            self._guard,
            connect_timeout_s=settings.connect_timeout_s,
            total_timeout_s=settings.total_timeout_s,
            connections=settings.concurrency,
            headers=_HEADERS,
        )

    async def close(self) -> None:
        await self._session.close()

    async def fetch(
        self,
        way: Way,
        host: str,
        file: StagedFile,
        max_bytes: int | None = None,
        *,
        insists: bool = False,
    ) -> None:
        """Write what stands at the end of the way into `file`, which is the caller's to finish
        or abort.

        host: who is asked, and nobody else. max_bytes: what it may have, where that is less
        than the limit for every image; None for that limit. insists: ask also a host that is
        left alone. Raises LedOn, with the way gone as far as it is known, where another host is
        to be asked; Unfetched; and what writing raises.
        """
        most = self._max_image_bytes if max_bytes is None else max_bytes
        order = _Order(way, file, min(most, self._max_image_bytes), insists)
        while True:
            url = self._check(way.address)
            if host_of(url) != host:
                raise LedOn(host_of(url))
            location = await self._ask(host, url, order)
            if location is None:
                return
            self._go_on(way, _resolve(url, location))

    def _go_on(self, way: Way, address: str) -> None:
        most = self._settings.max_redirects
        if way.redirects >= most:  # it may have been more when the image was led on
            raise fetch_failed(f"The host redirects more than {most} times.")
        way.address = address
        way.redirects += 1
        way.led_ms = self._clock()

    def _check(self, address: str) -> URL:
        try:
            return self._guard.check_url(address)
        except Blocked as exc:
            raise Unfetched(blocked(exc.bar)) from exc

    async def _ask(self, host: str, url: URL, order: _Order) -> str | None:
        """Ask the host, and remember how it fared: where else to look, None when the bytes are
        there.
        """
        if not order.insists:
            self._breakers.check(host)
        try:
            location = await self._exchange(url, order)
        except Unfetched as exc:
            if exc.passes:
                self._note_failure(host, exc)
            elif exc.failure.code is not ImageErrorCode.FETCH_BLOCKED:
                self._note_answer(host)
            raise
        self._note_answer(host)
        return location

    def _note_failure(self, host: str, exc: Unfetched) -> None:
        pause_s = self._breakers.note_failure(host)
        if pause_s is not None:
            log.warning("host_left_alone", host=host, pause_s=pause_s, last_failure=str(exc))

    def _note_answer(self, host: str) -> None:
        if self._breakers.note_answer(host):
            log.info("host_is_back", host=host)

    async def _exchange(self, url: URL, order: _Order) -> str | None:
        clock = asyncio.get_running_loop().time
        began_s = clock()
        try:
            async with (
                asyncio.timeout(self._settings.total_timeout_s - order.way.used_s),
                self._session.get(url, allow_redirects=False) as answer,
            ):
                return await self._take(answer, order)
        except Blocked as exc:
            raise Unfetched(blocked(exc.bar)) from exc
        except (UnicodeError, aiohttp.InvalidURL) as exc:  # its host is no name to be asked for
            raise Unfetched(blocked(Bar.URL)) from exc
        except aiohttp.ConnectionTimeoutError as exc:
            raise fetch_timeout("The host did not take the connection in time.") from exc
        except TimeoutError as exc:
            limit_s = self._settings.total_timeout_s
            raise fetch_timeout(f"The image did not arrive within {limit_s:g} s.") from exc
        except (aiohttp.ClientError, ConnectionError) as exc:
            raise fetch_failed(_explain(exc), passes=True) from exc
        finally:
            order.way.used_s += clock() - began_s

    async def _take(self, answer: aiohttp.ClientResponse, order: _Order) -> str | None:
        location = find_redirect(answer.status, answer.headers)
        if location is None:
            check_answer(
                answer.status,
                answer.headers,
                max_image_bytes=order.max_bytes,
                now_ms=self._clock(),
            )
            await _receive(answer.content, order)
        return location


async def _receive(content: aiohttp.StreamReader, order: _Order) -> None:
    """Raises Unfetched, also when it stalls or drips."""
    reader = PatientReader(content, STALL_S, SLOW_AFTER_S)
    head = b""
    while chunk := await _read(reader):
        if order.file.size_bytes + len(chunk) > order.max_bytes:
            raise Unfetched(too_many_bytes(order.max_bytes))
        if len(head) < HEAD_BYTES:
            head += chunk[:HEAD_BYTES]
            if len(head) >= HEAD_BYTES:
                _check_head(head)
        await order.file.write(chunk)
    if not head:
        raise Unfetched(EMPTY)
    _check_head(head)


async def _read(reader: PatientReader) -> bytes:
    try:
        return await reader.read()
    except TooSlow as exc:
        raise fetch_timeout(f"The image {exc}.") from exc


def _check_head(head: bytes) -> None:
    if sniff(head) is None:
        raise not_an_image("What the host sent is not an image of a known format.")


def _resolve(url: URL, location: str) -> str:
    """A redirect's target (RFC 9110, 10.2.2); it is checked like the first address."""
    try:
        return str(url.join(URL(location)).with_fragment(None))
    except (ValueError, IndexError) as exc:  # as in `Guard.check_url`
        raise Unfetched(blocked(Bar.URL)) from exc


def _explain(exc: Exception) -> str:
    """Without the address, which a name may have led to."""
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "The host's name leads nowhere."
    if isinstance(exc, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "A secure connection to the host could not be made."
    if isinstance(exc, aiohttp.ClientConnectorError):
        return "The host took no connection."
    return "The connection broke off before the image had arrived."
