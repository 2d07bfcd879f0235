"""A good image that is alone when the server dies, again and again, for other reasons."""

from __future__ import annotations

import urllib.request
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import pytest

from imgsvc.domain.retries import MAX_DEATHS_ALONE, MAX_INTERRUPTIONS, SUSPECT_AFTER
from tests.pictures import make_jpeg
from tests.server_process import ServerProcess
from tests.torture.inspection import read_images
from tests.torture.points import PLAN, Moment, Plan, Victims
from tests.torture.victim import Victim

DEATHS = SUSPECT_AFTER + MAX_DEATHS_ALONE + 1


def _send_image(server: ServerProcess) -> None:
    job = server.post("/api/v1/jobs", {"open": True})
    image = {"data": b64encode(make_jpeg(60, 40)).decode()}
    with suppress(OSError):  # it may be dead before it answers
        server.post(f"/api/v1/jobs/{job['id']}/images", {"images": [image]})


def _finish(server: ServerProcess, job_id: str) -> None:
    """Returns when the job is final and the server has stopped."""
    server.post(f"/api/v1/jobs/{job_id}/close", {})
    events = f"{server.url}/api/v1/jobs/{job_id}/events"
    request = urllib.request.Request(events, headers={"Accept": "text/event-stream"})  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own URL
        answer.read()
    server.stop()


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("point", "moment"), [("hand-over", Moment.BEFORE), ("record", Moment.BEFORE)]
)
def test_who_had_not_reached_a_worker_or_was_back_from_it_is_not_blamed(
    tmp_path: Path, point: str, moment: Moment
) -> None:
    plan = Plan(point, moment, 1, Victims.SERVER)
    for number in range(DEATHS):
        victim = Victim(tmp_path / "data", 1, {PLAN: plan.dump()})
        if victim.server is not None:
            if number == 0:
                _send_image(victim.server)
            victim.server.process.wait(60)
        assert victim.count_survivors() == 0
    (image,) = read_images(tmp_path / "data")
    assert image["claim"] == image["alone_claim"] == DEATHS
    victim = Victim(tmp_path / "data", 1, {})
    assert victim.server is not None
    _finish(victim.server, image["job_id"])
    (image,) = read_images(tmp_path / "data")
    assert (image["state"], image["attempts"]) == ("completed", 1)
    assert image["interruptions"] == DEATHS < MAX_INTERRUPTIONS
