"""What a server says of its workers' sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsvc.errors import StartError
from tests.pictures import make_jpeg
from tests.servers import make_settings, running_server, submit

GAP = "The kernel has no Landlock."


async def test_a_server_makes_pictures_with_workers_that_are_confined(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", workers={"sandbox": "required"})
    async with running_server(settings) as server:
        job = await submit(server, ("a.jpg", make_jpeg(40, 30)), preset="standard")
        assert job["status"] == "completed"


async def test_a_server_whose_workers_must_be_confined_does_not_start_where_they_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgsvc.runtime.core.find_gaps", lambda: (GAP,))
    settings = make_settings(tmp_path / "data", workers={"sandbox": "required"})
    with pytest.raises(StartError, match=GAP):
        async with running_server(settings):
            pass
    assert not (tmp_path / "data").exists()
