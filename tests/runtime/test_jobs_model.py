"""Jobs as people manage them, at random and under kill -9, against a model of them.

The model knows of each image what it may have become. Whenever everything has come to rest,
states, counters, rows and files are compared.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
import urllib.request
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    precondition,
    rule,
)

from tests.api.dialects.clients import UrllibClient
from tests.runtime.faulty import fault
from tests.server_process import ServerProcess

SPEC = {"recipe": {"variants": [{"name": "only", "format": "png"}]}}
FINAL = {"completed", "partial", "failed", "cancelled"}


@dataclass
class ModelImage:
    """may_be: the states in which it may come to rest. has_bytes: it can be tried again."""

    may_be: set[str]
    has_bytes: bool
    ends: str


@dataclass
class ModelJob:
    open: bool
    images: list[ModelImage] = field(default_factory=list)


# What an image holds, and how it ends when it is left alone. Few seeds, so that many are equal.
KINDS = st.one_of(
    st.integers(0, 5).map(lambda seed: (fault("ok", seed), "completed")),
    st.integers(0, 1).map(lambda seed: (fault("raise", seed), "failed")),
    st.just((b"", "failed")),
)
IMAGES = st.lists(KINDS, min_size=1, max_size=6)


class JobsMachine(RuleBasedStateMachine):
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.model: dict[str, ModelJob] = {}
        self.has_work = False
        """A kill of one that has had nothing to do since its start proves nothing."""

    @initialize(target=jobs, kinds=IMAGES, is_open=st.booleans())
    def begin(self, kinds: list[tuple[bytes, str]], is_open: bool) -> str:
        self.start()
        return self.send(kinds, is_open)

    def start(self) -> None:
        data_dir, program = self.folder / "data", "tests.runtime.faulty"
        self.server = ServerProcess(data_dir, workers=2, program=program)
        self.http = UrllibClient(self.server.url)

    def teardown(self) -> None:
        if hasattr(self, "server"):
            try:
                self.come_to_rest()
                self.server.stop()
                self.compare_with_disk()
            finally:
                self.server.kill()
        shutil.rmtree(self.folder)

    # -- what people do ----------------------------------------------------------------

    @rule(target=jobs, kinds=IMAGES, is_open=st.booleans())
    def submit(self, kinds: list[tuple[bytes, str]], is_open: bool) -> str:
        return self.send(kinds, is_open)

    def send(self, kinds: list[tuple[bytes, str]], is_open: bool) -> str:
        self.has_work = True
        spec = {"spec": json.dumps({**SPEC, "open": is_open})}
        answer = self.http.post_form("/api/v1/jobs", _files(kinds), spec)
        assert answer.status == 202, answer.body
        job_id = str(answer.document["id"])
        self.model[job_id] = ModelJob(is_open, _model_images(kinds))
        return job_id

    @rule(job_id=jobs, kinds=IMAGES)
    def append(self, job_id: str, kinds: list[tuple[bytes, str]]) -> None:
        self.has_work = True
        job = self.model[job_id]
        answer = self.http.post_form(f"/api/v1/jobs/{job_id}/images", _files(kinds), {})
        if not job.open:
            assert (answer.status, answer.document["code"]) == (409, "job_closed")
            return
        assert answer.status == 202, answer.body
        indexes = [image["index"] for image in answer.document["accepted"]]
        assert indexes == list(range(len(job.images), len(job.images) + len(kinds)))
        job.images += _model_images(kinds)

    @rule(job_id=jobs)
    def close(self, job_id: str) -> None:
        self.has_work = True
        answer = self.http.post(f"/api/v1/jobs/{job_id}/close")
        assert (answer.status, answer.document["open"]) == (200, False)
        self.model[job_id].open = False

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        self.has_work = True
        answer = self.http.post(f"/api/v1/jobs/{job_id}/cancel")
        assert answer.status == 200
        assert answer.document["status"] in FINAL
        job = self.model[job_id]
        job.open = False
        for image, state in zip(job.images, self.states_of(job_id), strict=True):
            assert state in image.may_be | {"cancelled"}
            image.may_be = {state}

    @rule(job_id=jobs)
    def retry(self, job_id: str) -> None:
        self.has_work = True
        job = self.model[job_id]
        answer = self.http.post(f"/api/v1/jobs/{job_id}/retry")
        assert answer.status == 200
        for image in job.images:
            if image.has_bytes and image.may_be != {"completed"}:
                image.may_be = {image.ends}

    @rule(job_id=consumes(jobs))
    def delete(self, job_id: str) -> None:
        self.has_work = True
        assert self.http.delete(f"/api/v1/jobs/{job_id}").status == 204
        assert self.http.get(f"/api/v1/jobs/{job_id}").status == 404
        del self.model[job_id]

    @rule(job_ids=st.lists(jobs, max_size=3, unique=True))
    def look(self, job_ids: list[str]) -> None:
        for job_id in job_ids:
            assert self.http.get(f"/api/v1/jobs/{job_id}/archive.zip").status == 200
            assert self.http.get(f"/api/v1/jobs/{job_id}/report.csv").status == 200

    @precondition(lambda self: self.has_work)
    @rule()
    def kill_and_start_again(self) -> None:
        self.has_work = False
        self.server.kill()
        self.start()

    @precondition(lambda self: self.model)
    @rule()
    def compare(self) -> None:
        self.come_to_rest()
        for job_id, job in self.model.items():
            self.compare_job(job_id, job)

    # -- what must then be true --------------------------------------------------------

    def come_to_rest(self) -> None:
        """Every image of every job is final."""
        for job_id in self.model:
            events = urllib.request.Request(  # noqa: S310 - our own server
                f"{self.server.url}/api/v1/jobs/{job_id}/events",
                headers={"Accept": "text/event-stream"},
            )
            with urllib.request.urlopen(events) as lines:  # noqa: S310
                said = (json.loads(line[5:])["job"] for line in lines if line.startswith(b"data:"))
                assert any(_is_at_rest(job) for job in said)

    def compare_job(self, job_id: str, model: ModelJob) -> None:
        job = self.http.get(f"/api/v1/jobs/{job_id}").document
        states = self.states_of(job_id)
        assert len(states) == len(model.images)
        for state, image in zip(states, model.images, strict=True):
            assert state in image.may_be
        counts = Counter(states)
        assert job["open"] == model.open
        assert (job["total"], job["completed"], job["failed"], job["cancelled"]) == (
            len(states), counts["completed"], counts["failed"], counts["cancelled"],
        )  # fmt: skip
        assert sum(job["errors"].values()) == counts["failed"]
        assert job["status"] in ({"processing", "pending"} if model.open else FINAL)
        if not model.open:
            assert job["progress"] == 100.0
            assert job["status"] == _expected_status(counts)

    def compare_with_disk(self) -> None:
        data_dir = self.folder / "data"
        with closing(sqlite3.connect(data_dir / "imgsvc.db")) as database:
            rows = database.execute(
                "SELECT job_id, id, claim, state, outputs, size_bytes FROM images"
            ).fetchall()
            left = database.execute("SELECT sum(remaining_ms) FROM jobs").fetchone()[0]
        assert not left
        expected: dict[str, str | None] = {}
        for job_id, image_id, claim, state, outputs, size_bytes in rows:
            if size_bytes:
                expected[f"{job_id}/in/{image_id}"] = None
            facts = json.loads(outputs)
            assert bool(facts) == (state == "completed")
            for variant, _format, _w, _h, _frames, _size, sha256, _reused in facts:
                expected[f"{job_id}/out/{image_id}-{claim}-{variant}.png"] = sha256
        jobs = data_dir / "jobs"
        found = {p.relative_to(jobs).as_posix(): p for p in jobs.rglob("*") if p.is_file()}
        assert found.keys() == expected.keys()
        for name, sha256 in expected.items():
            if sha256 is not None:
                assert hashlib.sha256(found[name].read_bytes()).hexdigest() == sha256
        assert [p for p in (data_dir / "slots").rglob("*") if p.is_file()] == []
        assert {p.name for p in jobs.iterdir()} == self.model.keys()

    def states_of(self, job_id: str) -> list[str]:
        page = self.http.get(f"/api/v1/jobs/{job_id}/images?limit=1000").document
        return [image["status"] for image in page["items"]]


def _is_at_rest(job: dict[str, Any]) -> bool:
    return bool(job["total"] == job["completed"] + job["failed"] + job["cancelled"])


def _files(kinds: list[tuple[bytes, str]]) -> list[tuple[str, str, bytes]]:
    return [("files", f"{number}.jpg", content) for number, (content, _) in enumerate(kinds)]


def _model_images(kinds: list[tuple[bytes, str]]) -> list[ModelImage]:
    return [ModelImage({ends}, bool(content), ends) for content, ends in kinds]


def _expected_status(counts: Counter[str]) -> str:
    if counts["cancelled"]:
        return "cancelled"
    if not counts["failed"]:
        return "completed"
    return "partial" if counts["completed"] else "failed"


TestJobsAgainstTheirModel: Any = pytest.mark.timeout(180)(JobsMachine.TestCase)
"""It starts a server again and again."""
TestJobsAgainstTheirModel.settings = settings(
    max_examples=4,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
