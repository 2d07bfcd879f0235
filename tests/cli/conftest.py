from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imgsvc.cli.main import cli
from tests.client.pictures import picture
from tests.server_process import ServerProcess, server_process


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
    """Runs a command against the server; stdin is bytes."""

    state = tmp_path_factory.mktemp("state")

    def run(*arguments: str | Path, stdin: bytes = b"") -> Ran:
        result = CliRunner().invoke(
            cli,
            [str(argument) for argument in arguments],
            input=stdin,
            env={"IMGSVC_SERVER": server.url, "XDG_STATE_HOME": str(state)},
            prog_name="imgsvc",
        )
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three images, one of them below another folder."""
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    (folder / "a.png").write_bytes(picture("red"))
    (folder / "b.jpg").write_bytes(picture("green", format_="JPEG"))
    (folder / "trip" / "c.png").write_bytes(picture("blue"))
    return folder
