from __future__ import annotations

import sys
from pathlib import Path

from imgsvc.workers.starts import explain


def test_it_is_said_when_workers_cannot_be_started_since_nobody_may_execute_them(
    tmp_path: Path,
) -> None:
    closed = tmp_path / "python"
    closed.touch(mode=0o644)
    gone = tmp_path / "gone"
    for path in (closed, gone):
        assert f"{path} is not there, or this user may not execute it" in explain(3, str(path))
    assert explain(3, sys.executable).startswith("Worker processes died 3 times in a row")
