"""What commands that talk to a server have in common."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click

from imgsvc.cli.arguments import FILE, refuse_empty
from imgsvc.cli.stopping import interrupt_on_sigterm
from imgsvc.cli.waiting import SpokenPatience
from imgsvc.client import DEFAULT_SERVER, Client

P = ParamSpec("P")

_SERVER = click.option(
    "--server",
    callback=refuse_empty,
    envvar="IMGSVC_SERVER",
    default=DEFAULT_SERVER,
    show_default=True,
    show_envvar=True,
    help="URL of the server.",
)
_API_KEY_FILE = click.option(
    "--api-key-file",
    envvar="IMGSVC_API_KEY_FILE",
    type=FILE,
    show_envvar=True,
    help="File that holds the API key; IMGSVC_API_KEY may hold the key itself.",
)


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `server` and `api_key_file`."""
    return _SERVER(_API_KEY_FILE(command))


def talks_to_server(
    command: Callable[Concatenate[Client, P], Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Make a command of a coroutine that takes a client, and give it the options for that."""

    @server_options
    @functools.wraps(command)
    def run(server: str, api_key_file: Path | None, *args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            async with Client(
                server, api_key, agent="imgsvc-cli", patience=SpokenPatience
            ) as client:
                await command(client, *args, **kwargs)

        interrupt_on_sigterm()
        api_key = read_key(api_key_file) if api_key_file else None
        asyncio.run(main())

    return run


def read_key(file: Path) -> str:
    """The API key in a file. Raises click.UsageError."""
    try:
        key = file.read_text(encoding="utf-8-sig").strip()  # as Windows writes it, too
    except OSError as exc:
        raise click.UsageError(f"The key file {file} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise click.UsageError(f"The key file {file} holds no API key.") from exc
    if not key or not key.isprintable():
        raise click.UsageError(f"The key file {file} holds no API key.")
    return key
