"""storage.keep_inputs: whether what was received is kept once it is finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.pictures import make_jpeg
from tests.servers import Running, get_json, make_settings, running_server, submit

FILES = [("a.jpg", make_jpeg(20, 20)), ("b.jpg", b"no image"), ("c.jpg", make_jpeg(20, 20))]


def _inputs(server: Running, job: dict[str, Any]) -> set[str]:
    folder = server.core.settings.storage.data_dir / "jobs" / job["id"] / "in"
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("keep", [True, False])
async def test_an_input_is_dropped_once_its_image_is_completed_unless_kept(
    tmp_path: Path, *, keep: bool
) -> None:
    settings = make_settings(tmp_path / "data", storage={"keep_inputs": keep})
    async with running_server(settings) as server:
        job = await submit(server, *FILES)
        await server.core.dispatcher.recorder.flush()
        images = (await get_json(server, job["links"]["images"]))["items"]
        failed = {image["id"] for image in images if image["status"] == "failed"}
        assert len(failed) == 1
        expected = {image["id"] for image in images} if keep else failed
        assert _inputs(server, job) == expected
        # what failed can still be tried again
        async with server.http.post(f"{job['links']['self']}/retry") as answer:
            assert (await answer.json())["failed"] == 0
