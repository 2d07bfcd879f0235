"""`imgsvc serve`: the server."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from imgsvc.cli.arguments import FILE, FOLDER


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="0 takes any free one.  [default: 8080]"
)
@click.option("--workers", type=click.IntRange(1), help="Worker processes.  [default: one a CPU]")
@click.option(
    "--data",
    type=FOLDER,
    help="Folder where everything is kept.  [default: data]",
)
@click.option(
    "--config",
    type=FILE,
    help="Settings in TOML; see config.example.toml.",
)
def serve(
    host: str | None,
    port: int | None,
    workers: int | None,
    data: Path | None,
    config: Path | None,
) -> None:
    """Run the server until it is told to stop.

    Settings come from the file, then from IMGSVC_<SECTION>__<KEY> in the environment, then
    from these options. A first Ctrl-C lets running images finish, a second one does not.
    """
    from imgsvc.config import load_settings
    from imgsvc.runtime.server import serve as run_server

    settings = load_settings(
        config,
        flags={
            "server": {"host": host, "port": port},
            "workers": {"size": workers},
            "storage": {"data_dir": data},
        },
    )
    sys.exit(run_server(settings))
