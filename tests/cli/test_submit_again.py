"""A submit that breaks off, and the same command once more."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from imgsvc.client import (
    ApiError,
    Client,
    ClientError,
    Job,
    Journal,
    LocalFileError,
    ServerUnreachable,
    UrlUpload,
)
from imgsvc.client.sending import Sending
from tests.cli.conftest import Run
from tests.client.pictures import picture

TABLE = b"S. No.,Product Name,Input Image Urls\n1,Shoe,http://127.0.0.1:9/a.jpg\n"


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (("{photos}",), b""),
        (("-",), picture("red")),
        (("http://127.0.0.1:9/a.jpg",), b""),
        (("http://127.0.0.1:9/a.jpg", "{photos}"), b""),
        (("--list", "-"), TABLE),
        (("{photos}/list.csv",), b""),
    ],
)
def test_what_broke_off_while_it_waited_is_waited_for_by_the_same_command(
    imgsvc: Run,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    stdin: bytes,
) -> None:
    async def break_off(*_: object) -> Job:
        raise ServerUnreachable("http://nowhere", "the connection broke")

    (photos / "list.csv").write_bytes(TABLE)
    submit = ("submit", *(argument.format(photos=photos) for argument in arguments), "--wait")
    with monkeypatch.context() as patch:
        patch.setattr("imgsvc.cli.submit.follow_job", break_off)
        first = imgsvc(*submit, stdin=stdin)
    assert (first.exit_code, first.stderr.count("The same command again")) == (3, 1)
    other = imgsvc(*submit, "--label=other", stdin=stdin)
    again = imgsvc(*submit, stdin=stdin)
    assert f"Going on with job {first.stdout}".strip() in again.stderr
    anew = imgsvc(*submit, stdin=stdin)
    assert first.stdout == again.stdout
    assert len({first.stdout, other.stdout, anew.stdout}) == 3


@pytest.mark.parametrize(
    "error",
    [
        ApiError("http_504", 504, "a gateway gave up"),
        ApiError("idempotency_in_progress", 409, "the first one still runs"),
        LocalFileError(Path("note.jsonl"), "it cannot be written"),
    ],
)
def test_a_job_that_may_be_there_is_found_by_the_same_command(
    imgsvc: Run, monkeypatch: pytest.MonkeyPatch, error: ClientError
) -> None:
    made = []

    def break_off(_journal: Journal, job_id: str) -> None:
        made.append(job_id)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note_job", break_off)
        assert imgsvc("submit", "http://127.0.0.1:9/a.jpg").exit_code
    assert imgsvc("submit", "http://127.0.0.1:9/a.jpg").stdout.split() == made


@pytest.mark.parametrize(("code", "status"), [("unauthorized", 401), ("http_404", 404)])
def test_nor_does_a_refusal_of_the_second_try_make_two_jobs(
    imgsvc: Run, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    """The first may have arrived, although its answer was lost."""
    made = []

    def break_off(_journal: Journal, job_id: str) -> None:
        made.append(job_id)
        raise ServerUnreachable("http://nowhere", "the connection broke")

    async def refuse(*_: object) -> Job:
        raise ApiError(code, status, "not now")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note_job", break_off)
        assert imgsvc("submit", "http://127.0.0.1:9/a.jpg").exit_code
        patch.setattr(Sending, "_begin", refuse)
        assert imgsvc("submit", "http://127.0.0.1:9/a.jpg").exit_code
    assert imgsvc("submit", "http://127.0.0.1:9/a.jpg").stdout.split() == made


def test_a_key_that_is_known_of_another_payload_is_given_up(
    imgsvc: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of another version of the command: else it would be refused for a day."""

    def break_off(*_: object) -> None:
        raise LocalFileError(Path("note.jsonl"), "it cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note_job", break_off)
        assert imgsvc("submit", "http://127.0.0.1:9/a.jpg").exit_code
    with monkeypatch.context() as patch:
        patch.setattr(UrlUpload, "document", lambda _: {"url": "http://127.0.0.1:9/b.jpg"})
        assert "another payload" in imgsvc("submit", "http://127.0.0.1:9/a.jpg").stderr
        assert imgsvc("submit", "http://127.0.0.1:9/a.jpg").stdout


def test_where_no_note_can_be_kept_nobody_is_told_to_repeat_the_command(
    imgsvc: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would make a second job."""

    async def break_off(*_: object) -> Job:
        raise ServerUnreachable("http://nowhere", "the connection broke")

    monkeypatch.setattr("imgsvc.cli.submit.open_journal", lambda _: None)
    monkeypatch.setattr("imgsvc.cli.submit.follow_job", break_off)
    ran = imgsvc("submit", "http://127.0.0.1:9/a.jpg", "--wait")
    assert "same command" not in ran.stderr
    assert f"imgsvc download {ran.stdout.strip()} --out DIR" in ran.stderr


def test_of_a_job_that_is_deleted_meanwhile_nobody_is_told_to_save_the_results(
    imgsvc: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def follow(client: Client, job_id: str) -> AsyncGenerator[dict[str, Any], None]:
        job = await client.job(job_id)
        await client.delete(job_id)
        yield {"type": "end", "job": {**job, "completed": 1, "total": 3}}

    monkeypatch.setattr(Client, "follow", follow)
    ran = imgsvc("submit", photos, "--wait")
    assert ran.exit_code == 2
    assert ran.stderr.splitlines()[1:] == ["Error: The job was deleted."]


def test_a_server_that_is_away_meanwhile_is_waited_for_and_that_is_said_once(
    imgsvc: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        (tmp_path / f"{number:02}.png").write_bytes(picture((number, 9, 9)))
    send, tries = Sending._send_group, iter(range(6))

    async def stay_away(self: Sending, *group: Any) -> None:
        if next(tries, None) is not None:
            raise ServerUnreachable("http://nowhere", "nobody listens")
        await send(self, *group)

    monkeypatch.setattr(Sending, "_send_group", stay_away)
    ran = imgsvc("submit", tmp_path)
    assert ran.exit_code == 0
    assert ran.stderr.count("http://nowhere: nobody listens. Waiting for it.\n") == 1
