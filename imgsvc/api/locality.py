"""Keeps web pages away from a local server.

A browser sends any page's requests to 127.0.0.1 if asked to. DNS rebinding shows in
`Host`; a cross-site request shows in `Origin` or `Sec-Fetch-Site`. Programs send neither
of the latter two and are let through.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from imgsvc.config import ServerSettings
from imgsvc.errors import Forbidden, HostNotAllowed

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({"same-origin", "none"})


def check_locality(server: ServerSettings) -> Middleware:
    """A middleware that serves requests for the hosts of the settings only, and none from other
    sites.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_served(request.headers.get("Host", ""), server):
            raise HostNotAllowed(
                "The Host header names no host of this server; see server.allowed_hosts."
            )
        if request.method not in _SAFE_METHODS or _is_websocket(request):
            _check_origin(request)
        return await handler(request)

    return middleware


def is_served(host: str, server: ServerSettings) -> bool:
    """Whether a Host header names this server. Rebinding takes a name: who wrote an address was
    led here by nobody.
    """
    name = host_name(host)
    return name in server.served_hosts or (server.serves_all_addresses and _is_address(name))


def host_name(host: str) -> str:
    """The name in a Host header, lower case, without the port; `[::1]` keeps its brackets, and is
    as short as in the settings.
    """
    host = host.strip().lower()
    if host.startswith("["):
        return _shorten(host[: host.find("]") + 1])
    return host.partition(":")[0].rstrip(".")


def _shorten(bracketed: str) -> str:
    try:
        return f"[{ip_address(bracketed[1:-1])}]"
    except ValueError:
        return bracketed


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _is_websocket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _check_origin(request: web.Request) -> None:
    origin = request.headers.get("Origin")
    if origin is not None and not _is_own(origin, request.headers["Host"]):
        raise Forbidden("Requests from other sites are not taken.")
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in _OWN_SITES:
        raise Forbidden("Requests from other sites are not taken.")


def _is_own(origin: str, host: str) -> bool:
    """Whether `origin` is the very host and port that the request was sent to."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.strip().lower()
