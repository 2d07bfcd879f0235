"""Which addresses are asked: one judgement for all who are given one."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any

from yarl import URL

from imgsvc.net.public_addresses import is_public

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

MAX_URL_CHARS = 8192


class Bar(Enum):
    """What is wrong with an address that is not asked."""

    URL = auto()
    """It cannot be parsed, or not in one way only."""
    BLANK = auto()
    NUMBER = auto()
    """The host is a number, but not written as an address is."""
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
        if len(text) > MAX_URL_CHARS:
            raise Blocked(Bar.URL)
        if odd := _NEVER_IN_A_URL.search(text):
            raise Blocked(Bar.BLANK if odd[0] == " " else Bar.URL)
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
        if not host or not port or "%" in authority.partition("%25")[0]:
            raise Blocked(Bar.URL)
        if not host_of(url).isascii():  # a zone beside an address may hold any bytes at all
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
            raise Blocked(Bar.NUMBER)
        if name.endswith(_LOCAL_NAMES) and not self.allow_private:
            raise Blocked(Bar.ADDRESS)
        if self.allowed_hosts and not any(
            name == allowed.lstrip(".") or (allowed.startswith(".") and name.endswith(allowed))
            for allowed in map(str.lower, self.allowed_hosts)
        ):
            raise Blocked(Bar.HOST)


def _is_open(port: int) -> bool:
    return port in _WEB_PORTS or (port >= _FIRST_FREE_PORT and port not in _OTHER_PORTS)


def _is_plain(name: str) -> bool:
    try:
        return str(IPv4Address(name)) == name
    except ValueError:
        return False


_ANYWHERE = Guard(allow_private=True)
_PLAIN_URL = re.compile(r"(https?://[a-z0-9.-]+/)[!-\[\]-~]*")
"""What most URLs are. All that could be wrong with one is its host or its length."""


def find_host(url: str) -> str:
    """Who is asked for a URL, as `host_of` names it, wherever that is. Raises Blocked."""
    plain = _PLAIN_URL.fullmatch(url) if len(url) <= MAX_URL_CHARS else None
    return _find_host(plain[1] if plain else url)


@lru_cache(256)  # ten thousand images of a list stand at few hosts
def _find_host(url: str) -> str:
    return host_of(_ANYWHERE.check_url(url))
