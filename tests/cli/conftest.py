from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
from click.testing import CliRunner

from imgsvc.cli.main import cli
from tests.client.pictures import picture
from tests.server_process import ServerProcess, server_process
from tests.watch_process import WatchProcess, put, watch_process


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One real server for all commands: each test makes jobs of its own."""
    with server_process(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture
def imgsvc(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command against the server; stdin is a file of these bytes."""

    state = tmp_path_factory.mktemp("state")

    def run(*arguments: str | Path, stdin: bytes = b"") -> Ran:
        with TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            result = CliRunner().invoke(
                cli,
                [str(argument) for argument in arguments],
                input=file,
                env={"IMGSVC_SERVER": server.url, "XDG_STATE_HOME": str(state)},
                prog_name="imgsvc",
            )
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three images that have been there for a while, under a name of its own, which
    is the label of its jobs.
    """
    folder = tmp_path / f"photos-{os.urandom(4).hex()}"
    put(folder / "a.png", picture("red"))
    put(folder / "b.jpg", picture("green", format_="JPEG"))
    put(folder / "trip" / "c.png", picture("blue"))
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


Start = Callable[..., WatchProcess]


@pytest.fixture
def start_command(tmp_path: Path) -> Iterator[Start]:
    """Starts a command that goes on; whatever still runs at the end is killed."""
    with ExitStack() as stack:

        def start(*arguments: str | Path, server: str = "") -> WatchProcess:
            command = watch_process(*arguments, state=tmp_path / "state", server=server)
            return stack.enter_context(command)

        yield start


@pytest.fixture
def start_watch(server: ServerProcess, start_command: Start) -> Start:
    def start(*arguments: str | Path, url: str = server.url) -> WatchProcess:
        return start_command("watch", *arguments, server=url)

    return start
