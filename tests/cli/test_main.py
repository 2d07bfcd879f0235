from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from imgsvc import __version__
from imgsvc.cli.main import COMMANDS, cli
from imgsvc.cli.output import count_bar, print_rows
from imgsvc.cli.streams import guard_streams
from tests.cli.conftest import Run
from tests.server_process import ServerProcess, server_process


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    done = python("-c", f"{statement}; import sys; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_a_worker_that_imports_the_entry_again_loads_nothing() -> None:
    loaded = modules_after("import imgsvc.__main__")
    assert not {name for name in loaded if name.startswith("imgsvc.")} - {"imgsvc.__main__"}
    assert "click" not in loaded


def test_help_comes_without_loading_any_command() -> None:
    help_ = "from click.testing import CliRunner; from imgsvc.cli.main import cli; "
    loaded = modules_after(f"{help_} CliRunner().invoke(cli, ['--help'])")
    assert loaded.isdisjoint(
        {"aiohttp", "rich", "pydantic", "pyvips", "asyncio", "imgsvc.cli.jobs"}
    )


def test_help_names_every_command_and_what_it_does() -> None:
    text = CliRunner().invoke(cli, ["--help"]).stdout
    for name, place in COMMANDS.items():
        assert f"  {name} " in text
        assert place.help in text


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_can_be_loaded_and_explains_itself(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"], prog_name="imgsvc")
    assert result.exit_code == 0
    assert f"Usage: imgsvc {name}" in result.stdout


def test_no_command_reads_stdin_to_be_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    completing = ShellComplete(cli, {}, "imgsvc", "_IMGSVC_COMPLETE")
    for arguments in (["submit", "-"], ["presets", "save", "mine", "-"]):
        found = completing.get_completions(arguments, "--js")
        assert [each.value for each in found] == ["--json"]


def test_the_module_and_the_command_are_the_same() -> None:
    command = Path(sys.executable).with_name("imgsvc")
    by_name = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert by_name.stdout == python("-m", "imgsvc", "--version").stdout
    assert by_name.stdout == f"imgsvc, version {__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["submit"], ["status"], ["--nonsense"]])
def test_a_command_that_cannot_be_understood_ends_with_2(imgsvc: Run, arguments: list[str]) -> None:
    ran = imgsvc(*arguments)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "Error: " in ran.stderr


def test_a_name_that_is_wrong_moves_no_cursor(imgsvc: Run) -> None:
    ran = imgsvc("submit", "gone\x07\u202e.png")
    assert ran.stderr.endswith("Error: There is no file or folder gone.png.\n")


def test_a_server_that_is_not_there_ends_with_3_and_says_how_to_start_one(
    imgsvc: Run, unused_tcp_port: int
) -> None:
    ran = imgsvc("list", "--server", f"http://127.0.0.1:{unused_tcp_port}")
    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "refused" in ran.stderr
    assert "imgsvc serve" in ran.stderr


def test_a_server_that_is_no_url_ends_with_2(imgsvc: Run) -> None:
    ran = imgsvc("list", "--server", "localhost")
    assert ran.exit_code == 2
    assert "http://127.0.0.1:8080" in ran.stderr


def test_a_key_file_without_a_key_ends_with_2(imgsvc: Run, tmp_path: Path) -> None:
    empty = tmp_path / "key"
    empty.touch()
    for file in (empty, tmp_path / "gone"):
        ran = imgsvc("list", "--api-key-file", file)
        assert ran.exit_code == 2
        assert str(file) in ran.stderr


def test_a_key_file_may_be_of_windows(imgsvc: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("one\r\n", encoding="utf-8-sig")
    assert imgsvc("list", "--api-key-file", tmp_path / "key").exit_code == 0


def test_a_key_that_no_header_can_hold_ends_with_2(
    imgsvc: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGSVC_API_KEY", "one\ntwo")
    ran = imgsvc("list", "--server", "http://127.0.0.1:9")
    assert ran.exit_code == 2
    assert "API key" in ran.stderr
    assert "two" not in ran.stderr


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_a_command_ends_by_sigterm_as_by_ctrl_c_also_where_that_is_ignored(
    unused_tcp_port: int, handler: signal.Handlers
) -> None:
    """A script's shell has what it starts in the background ignore Ctrl-C."""
    with (
        socket.create_server(("127.0.0.1", unused_tcp_port)) as listener,
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "imgsvc",
                "list",
                f"--server=http://127.0.0.1:{unused_tcp_port}",
            ],
            preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
        ) as process,
    ):
        connection, _ = listener.accept()  # from now on it waits for an answer
        with connection:
            process.terminate()
            try:
                code = process.wait(timeout=20)
            finally:
                process.kill()
    assert code == 130


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["submit -", "submit --list -", "presets save mine -"])
def test_a_command_that_reads_stdin_is_ended_by_a_signal(command: str, signal_: int) -> None:
    """What it waits for may never come."""
    with subprocess.Popen(
        [sys.executable, "-m", "imgsvc", *command.split()], stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(bytes(1 << 20))  # more than a pipe holds: it is reading by then
        process.stdin.flush()
        process.send_signal(signal_)
        try:
            code = process.wait(timeout=20)
        finally:
            process.kill()
    assert code == 130


def test_stdin_is_read_to_its_end_where_it_is_set_not_to_wait(server: ServerProcess) -> None:
    """As a shell's other commands may leave it."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with (
        os.fdopen(reader, "rb") as stdin,
        os.fdopen(writer, "wb", buffering=0) as fed,
        subprocess.Popen(
            [sys.executable, "-m", "imgsvc", "presets", "save", "fed", "-"],
            stdin=stdin,
            env=os.environ | {"IMGSVC_SERVER": server.url},
        ) as process,
    ):
        stdin.close()
        fed.write(b'{"variants": [' + b" " * (1 << 20))  # more than a pipe holds
        fed.write(b'{"name": "a"}]}')
        fed.close()
        code = process.wait(timeout=60)
    assert code == 0


@pytest.mark.parametrize("command", ["submit -", "submit --list -", "presets save mine -"])
@pytest.mark.parametrize("redirection", ["<&-", "0>/dev/null"])
def test_who_has_no_stdin_is_told_so(command: str, redirection: str) -> None:
    shell = f'exec "$0" -m imgsvc {command} {redirection}'
    done = subprocess.run(
        ["/bin/sh", "-c", shell, sys.executable], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "stdin" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_a_command_was_not_given_takes_everything(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `>&-` of a shell."""
    for each in ("stdout", "stderr"):
        monkeypatch.setattr(sys, each, None if each == name else getattr(sys, each))
    guard_streams()
    print_rows(("What",), [("this",)])
    with count_bar("Done") as show:
        show(1, 2, "")
    getattr(sys, name).close()


def test_a_submit_that_is_ended_before_the_server_answers_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "imgsvc", "submit", str(tmp_path / "a.png")),
                f"--server=http://127.0.0.1:{listener.getsockname()[1]}",
            ],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        ) as process,
    ):
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "The same command again goes on from here." in said


def test_a_wrong_setting_stops_the_server_before_it_starts(tmp_path: Path) -> None:
    config = tmp_path / "imgsvc.toml"
    config.write_text("[server]\nhsot = 1\n")
    done = python("-m", "imgsvc", "serve", "--config", str(config), "--data", str(tmp_path / "d"))
    assert done.returncode == 2
    assert "\n  server.hsot: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with server_process(tmp_path / "data"):
        done = python("-m", "imgsvc", "serve", "--port=0", "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert str(tmp_path / "data") in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list", "--json"]])
@pytest.mark.parametrize("shares_stderr", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_an_output_that_cannot_be_written_ends_with_2_and_a_line(
    server: ServerProcess, arguments: list[str], shares_stderr: bool, encoding: str
) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "imgsvc", *arguments],
            env={**os.environ, "IMGSVC_SERVER": server.url, "PYTHONIOENCODING": encoding},
            stdout=full,
            stderr=full if shares_stderr else subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 2
    if not shares_stderr:
        assert ran.stderr == "Error: The output cannot be written: No space left on device.\n"


def test_an_output_that_fails_ends_with_2_and_a_line() -> None:
    """A terminal that has gone fails so."""
    terminal, end = os.openpty()
    os.close(terminal)
    try:
        command = [sys.executable, "-m", "imgsvc", "--version"]
        ran = subprocess.run(command, stdout=end, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(end)
    line = "Error: The output cannot be written: Input/output error.\n"
    assert (ran.returncode, ran.stderr) == (2, line)


def run_without_reader(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    reader, end = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "imgsvc", *map(str, arguments)]
    try:
        return subprocess.run(
            command, stdout=end, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    finally:
        os.close(end)


def test_nothing_is_said_of_an_output_whose_reader_has_gone() -> None:
    ran = run_without_reader("--help")
    assert (ran.returncode, ran.stderr) == (1, "")


@pytest.mark.parametrize("command", ["run --watch --workers=2", "watch"])
def test_what_goes_on_ends_when_its_reader_has_gone(
    server: ServerProcess, photos: Path, out: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGSVC_SERVER", server.url)
    ran = run_without_reader(*command.split(), "--json", "--out", out, photos)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_messages_that_cannot_be_written_end_nothing(server: ServerProcess, photos: Path) -> None:
    command = [sys.executable, "-m", "imgsvc", "submit", str(photos), "--wait"]
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [*command, "--server", server.url], stdout=subprocess.PIPE, stderr=full, check=False
        )
    assert (ran.returncode, ran.stdout.count(b"\n")) == (0, 1)
