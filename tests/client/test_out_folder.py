"""The folder for results of a watch."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.out_folder import OutFolder


def test_results_on_a_share_that_does_not_answer_are_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [("v", "webp", "a.webp")]
    ask = os.stat

    def refuse(path: Path, **options: bool) -> os.stat_result:
        if Path(path).name == "a.webp":
            raise OSError(errno.ESTALE, "Stale file handle")
        return ask(path, **options)

    with WatchJournal(tmp_path / "watch.jsonl") as journal:
        out = OutFolder(tmp_path, journal, [("v", "webp")])
        assert not out.stands(files)
        assert not out.stands_whole(files)
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", refuse)
            assert out.stands(files)
            assert out.stands_whole(files)
