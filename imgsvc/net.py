"""The guarded way out: whoever sends a request to an address that somebody else chose, sends
it through here.

Addresses are checked where they are used, when the socket is made, so that neither a name that
resolves anew nor a spelling that only the resolver understands leads inside.
"""

from __future__ import annotations

import asyncio
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052."""

_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # RFC 6890: what answers there is the nearest box of the provider
        "192.88.99.0/24",  # RFC 7526: relays from IPv6
        "168.63.129.16/32",  # what stands inside every virtual machine of Azure
        "fec0::/10",  # RFC 3879: site-local; given up, but some networks still route it
        "3fff::/20",  # RFC 9637: documentation
        "5f00::/16",  # RFC 9602: segment routing within a network
        "64:ff9b:1::/48",  # RFC 8215: translation as a site likes it
    )
)
"""What Python 3.11 takes for public."""

_ISATAP = (0x00005EFE, 0x02005EFE)
"""RFC 5214, 6.1: the middle of an interface identifier that ends with an IPv4 address."""

_WEB_PORTS = frozenset({80, 443})
_FIRST_FREE_PORT = 1024
_OTHER_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668}
    | {6669, 6679, 6697, 10080}
    | {1433, 1521, 2375, 2376, 2379, 3306, 5432, 5984, 6379, 9200, 9300, 11211, 27017}
)
"""Services that are no web servers: the Fetch standard's bad ports, and databases."""

_NEVER_IN_A_URL = re.compile(r"[\x00-\x20\\]")
_NUMBERS = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*")
_LOCAL_NAMES = ("localhost", "localhost.localdomain", ".internal", ".local")

MAX_URL_CHARACTERS = 8192


class Bar(Enum):
    """What is wrong with an address that is not asked."""

    URL = auto()
    """It cannot be parsed, or not in one way only."""
    SCHEME = auto()
    LOGIN = auto()
    PORT = auto()
    HOST = auto()
    """It is none of those that are allowed."""
    ADDRESS = auto()
    """It is not public, or a name leads to one that is not."""


class Blocked(Exception):
    """The address is not one to be asked. No OSError, which aiohttp would wrap.

    Nothing says where a name led: it would tell a stranger what stands inside.
    """

    def __init__(self, bar: Bar) -> None:
        super().__init__(bar.name)
        self.bar = bar


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, also behind every way of writing an IPv4
    address into an IPv6 one.
    """
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and (translated := _translated(ip)):
        return is_public(str(translated))
    if any(ip in network for network in _NOT_PUBLIC) or not _is_public(ip):
        return False
    return isinstance(ip, IPv4Address) or all(is_public(str(hidden)) for hidden in _tunnelled(ip))


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    """`is_global` alone is true for multicast."""
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _translated(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that it is another way of writing, and nothing else."""
    return ip.ipv4_mapped or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)


def _tunnelled(ip: IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that packets to it are carried to on their way."""
    number = int(ip)
    found = [ip.sixtofour, *(ip.teredo or ())]
    if number >> 32 == 0 or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        found.append(IPv4Address(number & 0xFFFFFFFF))
    return [address for address in found if address is not None]


def host_of(url: URL) -> str:
    """What tells hosts apart: the name, with the port unless it is the scheme's own."""
    name = (url.raw_host or "").lower().rstrip(".")
    if ":" in name:
        name = f"[{name}]"
    return name if url.is_default_port() else f"{name}:{url.port}"


@dataclass(frozen=True, slots=True)
class Guard:
    """allow_private: addresses that are not public, too. allowed_hosts: none but these; empty
    for all. `.example.org` means example.org and every name under it.
    """

    allow_private: bool = False
    allowed_hosts: tuple[str, ...] = ()

    def check_url(self, text: str) -> URL:
        """The parsed URL. Raises Blocked for what is not to be asked whatever it resolves to."""
        if len(text) > MAX_URL_CHARACTERS or _NEVER_IN_A_URL.search(text):
            raise Blocked(Bar.URL)
        try:
            url = URL(text)
            host, port = url.host, url.port
        except (ValueError, IndexError) as exc:  # IndexError: an empty host beside brackets
            raise Blocked(Bar.URL) from exc
        if url.scheme not in ("http", "https"):
            raise Blocked(Bar.SCHEME)
        authority = re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]
        if "@" in authority or url.user or url.password:
            raise Blocked(Bar.LOGIN)
        if not host or "%" in authority.partition("%25")[0]:
            raise Blocked(Bar.URL)
        if not _is_open(port):
            raise Blocked(Bar.PORT)
        self._check_host(host.lower())
        return url

    def check_address(self, address: str) -> None:
        """Raises Blocked."""
        if not self.allow_private and not is_public(address):
            raise Blocked(Bar.ADDRESS)

    def make_socket(self, address: Any) -> socket.socket:
        """Aiohttp's `socket_factory`: the last gate before a connection. Raises Blocked."""
        family, kind, protocol, _, place = address
        self.check_address(place[0])
        return socket.socket(family, kind, protocol)

    def _check_host(self, host: str) -> None:
        """Numbers other than a plain IPv4 address are one to some resolvers (RFC 6943, 3.1.1)."""
        name = host.rstrip(".")
        if _NUMBERS.fullmatch(name) and not _is_plain(host):
            raise Blocked(Bar.URL)
        if name.endswith(_LOCAL_NAMES) and not self.allow_private:
            raise Blocked(Bar.ADDRESS)
        if self.allowed_hosts and not any(
            name == allowed.lstrip(".") or (allowed.startswith(".") and name.endswith(allowed))
            for allowed in map(str.lower, self.allowed_hosts)
        ):
            raise Blocked(Bar.HOST)


def _is_open(port: int | None) -> bool:
    if port is None:
        return False
    return port in _WEB_PORTS or (port >= _FIRST_FREE_PORT and port not in _OTHER_PORTS)


def _is_plain(name: str) -> bool:
    try:
        return str(IPv4Address(name)) == name
    except ValueError:
        return False


class _NameThreads:
    """What `ThreadedResolver` asks of a loop, on threads of its own: a name server that does
    not answer holds up a thread for half a minute, and the loop's threads have work to do.
    """

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="imgsvc-names")

    async def getaddrinfo(self, *place: Any, **wanted: Any) -> Any:
        ask = partial(socket.getaddrinfo, *place, **wanted)
        return await self._loop.run_in_executor(self._threads, ask)

    async def getnameinfo(self, *place: Any) -> Any:
        return await self._loop.run_in_executor(self._threads, socket.getnameinfo, *place)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Resolver(AbstractResolver):
    """A name with one address inside is not asked at any of its others either.

    threads: names that are asked for at once.
    """

    def __init__(self, guard: Guard, threads: int) -> None:
        self._guard = guard
        self._names = _NameThreads(threads)
        self._resolver = ThreadedResolver(cast("asyncio.AbstractEventLoop", self._names))

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for answer in found:
            self._guard.check_address(answer["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()
        self._names.close()


def open_session(
    guard: Guard,
    *,
    connect_timeout_s: float,
    total_timeout_s: float,
    connections: int,
    headers: dict[str, str],
) -> aiohttp.ClientSession:
    """A session without cookies, proxies, caches of names, and memory of any kind.

    Redirects are followed by who uses it, through `Guard.check_url`. connections: at once.
    """
    connector = aiohttp.TCPConnector(
        limit=connections,
        resolver=_Resolver(guard, connections),
        use_dns_cache=False,
        socket_factory=guard.make_socket,
    )
    timeout = aiohttp.ClientTimeout(total=total_timeout_s, sock_connect=connect_timeout_s)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        trust_env=False,
        auto_decompress=False,
    )
