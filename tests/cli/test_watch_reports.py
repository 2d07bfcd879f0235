"""What `imgsvc watch` says of troubles that come and go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgsvc.cli.status_line import StatusLine
from imgsvc.cli.watch_reports import Reporter
from imgsvc.client import LocalFileError
from imgsvc.client.watching.outcome import Outcome


def test_the_end_of_a_trouble_that_was_not_spoken_of_again_is_not_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reporter = Reporter(StatusLine(), as_json=False)
    for _ in range(2):
        reporter.tell_disk_trouble(LocalFileError(Path("out"), "No space left on device"))
        reporter.tell_disk_well()
    assert capsys.readouterr().err.splitlines() == [
        "out: No space left on device. Waiting until that is over.",
        "Files can be written again.",
    ]


def test_a_line_of_json_has_no_surrogates(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(StatusLine(), as_json=True)
    reporter.tell_outcome(Outcome("caf\udce9 😀.png", None))
    out = capsys.readouterr().out
    assert (out.isascii(), json.loads(out)["name"]) == (True, "caf_ 😀.png")
