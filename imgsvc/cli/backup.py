"""`imgsvc backup`: everything a server has, as one file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from imgsvc.cli import exits
from imgsvc.cli.arguments import FILE, FOLDER, refuse_empty
from imgsvc.cli.output import count_text, json_option, print_json, say, size_text
from imgsvc.cli.session import read_key
from imgsvc.cli.stopping import interrupt_on_sigterm
from imgsvc.client import DEFAULT_SERVER, Client, LocalFileError
from imgsvc.config import load_settings
from imgsvc.domain.backup import SavedBackup
from imgsvc.domain.logins import without_login
from imgsvc.runtime.offline import back_up, find_server, is_data_folder
from imgsvc.telemetry.logs import configure_logs


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--data",
    type=FOLDER,
    help="The server's data folder, when it is on this machine.  [default: data]",
)
@click.option(
    "--config",
    type=FILE,
    help="The server's settings in TOML, which name the folder.",
)
@click.option(
    "--server",
    callback=refuse_empty,
    envvar="IMGSVC_SERVER",
    show_envvar=True,
    help="URL of a server, wherever it is.",
)
@click.option(
    "--api-key-file",
    envvar="IMGSVC_API_KEY_FILE",
    type=FILE,
    help="File that holds the API key; IMGSVC_API_KEY may hold the key itself.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
def backup(
    file: Path,
    data: Path | None,
    config: Path | None,
    server: str | None,
    api_key_file: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Save everything a server has as one ZIP file, while it works.

    The server is taken from --data, else from --server, else from --config, else from
    IMGSVC_SERVER, else it is the one that has ./data, and where that is no data folder the one at
    http://127.0.0.1:8080. When no server has the folder, it is read itself. Unpacked, the file is a
    data folder again: unzip FILE -d DIR, and then imgsvc serve --data DIR. Only its owner may read
    it.
    """
    if file.exists() and not force:
        raise click.UsageError(f"{file} is there already. Name another, or replace it by --force.")
    if not file.absolute().parent.is_dir():
        raise click.UsageError(f"There is no folder {file.absolute().parent}.")
    source = click.get_current_context().get_parameter_source("server")
    names_server = source is ParameterSource.COMMANDLINE
    if data and names_server:
        raise click.UsageError("Give either --data or --server.")
    configure_logs("warning", "console")
    interrupt_on_sigterm()
    settings = load_settings(config, flags={"storage": {"data_dir": data}})
    data_dir = settings.storage.data_dir.absolute()
    names_folder = data or (config and not names_server)
    if names_folder or (server is None and is_data_folder(data_dir)):
        holder = _find_holder(data_dir)
        if holder is None:
            saved = _back_up_folder(data_dir, file, settings.storage.keep_inputs)
            whose = f"{data_dir}, whose server is not running"
            _report(saved, file, whose, as_json=as_json)
            return
        server, whose = holder, f"the server of {data_dir}"
    else:
        server = server or DEFAULT_SERVER
        whose = without_login(server)
    api_key = read_key(api_key_file) if api_key_file else None
    _report(asyncio.run(_fetch(server, api_key, file)), file, whose, as_json=as_json)


def _find_holder(data_dir: Path) -> str | None:
    """URL of the server that has the folder, None when none has. Raises UsageError."""
    if not is_data_folder(data_dir):
        raise click.UsageError(f"{data_dir} is no data folder: it has no database.")
    holder = find_server(data_dir)
    if holder is not None and holder.url is None:
        raise click.UsageError(
            f"{data_dir} is in use by process {holder.pid}, which is no server that could be asked."
        )
    return holder.url if holder else None


def _back_up_folder(data_dir: Path, file: Path, keep_inputs: bool) -> SavedBackup:
    try:
        return asyncio.run(back_up(data_dir, file, keep_inputs=keep_inputs))
    except OSError as exc:
        raise LocalFileError(file, exc.strerror or "it cannot be written") from exc


async def _fetch(server: str, api_key: str | None, file: Path) -> SavedBackup:
    async with Client(server, api_key, agent="imgsvc-cli") as client:
        return await client.backup(file)


def _report(saved: SavedBackup, file: Path, whose: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"path": str(file), **saved._asdict()})
    else:
        say(f"Saved {file}, {size_text(saved.size_bytes)}, the backup of {whose}.")
    if saved.missing_files:
        missing = count_text(saved.missing_files, "file")
        say(f"Not there to be saved: {missing}. imgsvc doctor --files names what is missing.")
        sys.exit(exits.SOME_FAILED)
