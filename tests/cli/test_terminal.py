from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from imgsvc.cli.output import print_rows
from tests.cli.conftest import Run
from tests.client.pictures import picture
from tests.server_process import ServerProcess

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A command whose stderr is a terminal, as its user sees it.

    shows_data: so is its stdout.
    """

    def __init__(
        self,
        server: ServerProcess,
        *arguments: str,
        shows_data: bool = False,
        **environment: str,
    ) -> None:
        self._mine, theirs = pty.openpty()
        env = {**os.environ, "IMGSVC_SERVER": server.url, "TERM": "xterm", "COLUMNS": "100"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "imgsvc", *arguments],
            env={**env, **environment},
            stdin=subprocess.DEVNULL,
            stdout=theirs if shows_data else subprocess.PIPE,
            stderr=theirs,
            text=True,
        )
        os.close(theirs)
        self.shown = ""

    def read_until(self, text: str) -> None:
        while text not in self.shown:
            more = self._read()
            assert more, self.shown
            self.shown += more

    def finish(self) -> tuple[int, str]:
        """Exit code and stdout; `shown` is complete then."""
        while more := self._read():
            self.shown += more
        os.close(self._mine)
        stdout, _ = self.process.communicate()
        return self.process.returncode, stdout or ""

    def _read(self) -> str:
        try:
            return os.read(self._mine, 65536).decode()
        except OSError:  # the other side is closed
            return ""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of images that take longer than it takes to look at them."""
    folder = tmp_path / "many"
    folder.mkdir()
    content = picture(size=(3000, 2000), format_="JPEG")
    for number in range(150):
        (folder / f"{number}.jpg").write_bytes(content + b"%d" % number)
    return folder


def test_bars_show_what_is_sent_done_and_saved(
    server: ServerProcess, photos: Path, tmp_path: Path
) -> None:
    terminal = Terminal(server, "submit", str(photos), "--out", str(tmp_path / "out"))
    exit_code, stdout = terminal.finish()
    assert (exit_code, stdout.count("\n")) == (0, 1)
    shown = ESCAPES.sub("", terminal.shown)
    for text in ("Sending", "Processing", "3/3", "Saving", "9/9"):
        assert text in shown


def test_no_color_is_respected(server: ServerProcess, photos: Path) -> None:
    plain = Terminal(server, "submit", str(photos), "--wait", NO_COLOR="1")
    assert plain.finish()[0] == 0
    assert not re.search(r"\x1b\[(?:[0-9;]*;)?3[0-9](?:;[0-9;]*)?m", plain.shown)
    coloured = Terminal(server, "submit", str(photos), "--wait")
    coloured.finish()
    assert COLOURS.search(coloured.shown)


def test_ctrl_c_ends_with_130_and_leaves_the_job_to_the_server(
    server: ServerProcess, imgsvc: Run, many: Path
) -> None:
    terminal = Terminal(server, "submit", str(many), "--wait", "--priority=low")
    terminal.read_until("Processing")
    terminal.process.send_signal(signal.SIGINT)
    exit_code, stdout = terminal.finish()
    job_id = stdout.strip()
    assert exit_code == 130
    assert f"imgsvc status {job_id} --follow" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert imgsvc("status", job_id, "--json").document["status"] == "processing"


def test_a_list_has_titles_on_a_terminal_and_none_in_a_pipe(
    server: ServerProcess, imgsvc: Run, photos: Path
) -> None:
    job_id = imgsvc("submit", photos, "--label", photos.name, "--wait").stdout.strip()
    arguments = ("list", "--label", photos.name)
    terminal = Terminal(server, *arguments, shows_data=True)
    terminal.finish()
    titles, row, *_ = ESCAPES.sub("", terminal.shown).splitlines()
    assert titles.split() == ["ID", "Status", "Done", "Failed", "Created", "Label"]
    assert row.split()[:4] == [job_id, "completed", "3/3", "0"]
    (line,) = imgsvc(*arguments).stdout.splitlines()
    assert line.split("\t")[:4] == [job_id, "completed", "3/3", "0"]


class TerminalText(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("width", "label", "titles"),
    [
        (140, "autumn", ["ID", "Status", "Done", "Failed", "Created", "Expires", "Label"]),
        (100, "autumn", ["ID", "Status", "Done", "Failed", "Created", "Label"]),
        (80, "", ["ID", "Status", "Done", "Created"]),
        (80, "autumn", ["ID", "Status", "Done", "Label"]),
        (80, "a label of many words" * 4, ["ID", "Status", "Done", "Label"]),
        (60, "autumn", ["ID", "Status", "Done"]),
        (40, "autumn", ["ID"]),
    ],
)
def test_columns_of_a_list_give_way_where_there_is_little_room(
    width: int, label: str, titles: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is whole, each row a line, but for the label."""
    shown = TerminalText()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setenv("COLUMNS", str(width))
    headers = ("ID", "Status", "Done", "Failed", "Created", "Expires", "Label")
    time = "2026-11-22 14:32"
    row = ("01a203ac-26be-7061-922d-3ca8ff4e078f", "completed", "2000/2000", "12", time, time)
    yielding = ("Expires", "Failed", "Created", "Label", "Done", "Status")
    print_rows(headers, [(*row, label)], yielding=yielding, prose="Label")
    first, second, *more = ESCAPES.sub("", shown.getvalue()).splitlines()
    assert first.split() == titles
    cells = [dict(zip(headers, (*row, label), strict=True))[title] for title in titles]
    if "Label" in titles:
        cells[-1] = label[:6]
    assert all(cell in second for cell in cells)
    assert bool(more) == (len(label) > 20)


def test_free_text_without_spaces_is_broken_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = TerminalText()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setenv("COLUMNS", "40")
    print_rows(("ID", "Label"), [("1", "秋" * 30)], yielding=("Label",), prose="Label")
    assert ESCAPES.sub("", shown.getvalue()).count("秋") == 30


def test_watching_shows_one_line_that_changes(
    server: ServerProcess, photos: Path, tmp_path: Path
) -> None:
    (photos / "bad.png").write_bytes(
        b"this is no image, and never will be one, whatever is tried" * 2
    )
    terminal = Terminal(
        server, "watch", str(photos), "--label=x", XDG_STATE_HOME=str(tmp_path / "state")
    )
    terminal.read_until("3 done, 1 failed, 0 waiting")
    terminal.process.send_signal(signal.SIGINT)
    exit_code, stdout = terminal.finish()
    assert (exit_code, stdout) == (130, "")
    assert "failed  bad.png: " in terminal.shown
    assert "done    a.png" not in terminal.shown
    assert "Stopped: 3 images done, 1 failed." in terminal.shown
