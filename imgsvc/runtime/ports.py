"""Taking a port, and saying who has it when it is taken."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from imgsvc.errors import StartError
from imgsvc.files.open_files import find_holders


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises StartError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise StartError(_explain(exc, host, port)) from exc
    return sock


def url_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def page_url(url: str, base_url: str | None) -> str:
    """Where a browser finds the page: under the base URL, else on this machine where all of its
    addresses are listened on.
    """
    here = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    return f"{(base_url or here).rstrip('/')}/"


def _explain(exc: OSError, host: str, port: int) -> str:
    if exc.errno == errno.EADDRINUSE:
        owner = find_listener(port) or "another program"
        return (
            f"Port {port} on {host} is taken by {owner}. Stop it, or choose another port "
            "with --port or server.port."
        )
    if exc.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has. Choose one above 1023."
    return f"Listening on {host}:{port} is not possible: {exc.strerror or exc}."


def find_listener(port: int) -> str | None:
    """`name (pid 123)` of the process that listens on a TCP port, if /proc tells."""
    inodes = _listening_inodes(port)
    return next(iter(find_holders(inodes).values()), None) if inodes else None


def _listening_inodes(port: int) -> set[str]:
    """What the descriptors of sockets that listen on `port` link to."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            listens = columns[3] == "0A"
            if listens and int(columns[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{columns[9]}]")
    return found
