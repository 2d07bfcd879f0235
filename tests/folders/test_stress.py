"""Whatever is done to the files, and however often the server is killed, each final content is
processed once. `python -m tests.folders.stress` does the same at length.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.folders.stress import stress


@pytest.mark.parametrize(("polling", "kills"), [(False, 2), (True, 0)])
def test_every_final_content_is_processed_once(tmp_path: Path, polling: bool, kills: int) -> None:
    report = stress(tmp_path, writers=3, steps=14, kills=kills, polling=polling)
    assert report.files > 5
    assert report.kills == kills
    assert report.faults == 0, report
