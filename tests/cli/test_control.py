from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

NOBODY = "01936f00-0000-7000-8000-000000000000"


def test_cancel_leaves_a_job_that_has_ended_as_it_is(imgsvc: Run, photos: Path) -> None:
    job_id = imgsvc("submit", photos, "--preset=thumbnail", "--wait").stdout.strip()
    ran = imgsvc("cancel", job_id, "--json")
    assert ran.exit_code == 0
    assert json.loads(ran.stdout)["status"] == "completed"


def test_how_a_job_ended_is_said_in_words_that_fit_every_status(
    imgsvc: Run, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    job_id = imgsvc("submit", tmp_path / "bad.png", "--wait").stdout.strip()
    said = "The job's status is failed; 0 images cancelled.\n"
    assert imgsvc("cancel", job_id).stderr == said


def test_retry_tries_what_failed_again(imgsvc: Run, photos: Path) -> None:
    (photos / "bad.png").write_bytes(b"no image")
    job_id = imgsvc("submit", photos, "--preset=thumbnail", "--wait").stdout.strip()
    ran = imgsvc("retry", job_id)
    assert ran.exit_code == 0
    assert "1 image to be done" in ran.stderr
    assert imgsvc("status", job_id, "--follow").exit_code == 1


def test_delete_removes_a_job(imgsvc: Run, photos: Path) -> None:
    job_id = imgsvc("submit", photos, "--preset=thumbnail", "--wait").stdout.strip()
    assert imgsvc("delete", job_id, "--json").document == {"id": job_id, "deleted": True}
    assert imgsvc("status", job_id).exit_code == 2


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize(
    "command",
    ["status", "download --out=x", "cancel", "retry", "delete", "deliveries", "redeliver"],
)
def test_an_unset_variable_is_no_job(imgsvc: Run, command: str, empty: str) -> None:
    ran = imgsvc(*command.split(), empty)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "Error: ID is missing: what was given is empty.\n" in ran.stderr


def test_nor_is_it_a_name_or_a_message(imgsvc: Run) -> None:
    for command in ("presets show", "presets delete", "watermarks show", "watermarks delete"):
        ran = imgsvc(*command.split(), "")
        assert ran.exit_code == 2
        assert "NAME is missing" in ran.stderr
    assert "DELIVERY is missing" in imgsvc("redeliver", NOBODY, "").stderr


@pytest.mark.parametrize(
    "command",
    [
        "list --label",
        f"delete {NOBODY} --server",
        "backup b.zip --server",
        "submit . --preset",
        "submit . --webhook",
        "watch . --preset",
    ],
)
def test_nor_is_it_what_goes_without_an_option(imgsvc: Run, command: str) -> None:
    """All jobs, another server, or the default preset."""
    for empty in ("", " "):
        ran = imgsvc(*command.split(), empty)
        assert ran.exit_code == 2
        assert f"{command.split()[-1]} is missing: what was given is empty." in ran.stderr


@pytest.mark.parametrize(
    "command",
    [
        "submit . --out",
        "run . --out",
        f"download {NOBODY} --out",
        "watch --out .",
        "watch . --out",
        "serve --config none --data",
        "doctor --data",
        "backup b.zip --data",
        "backup",
        "plan",
        "presets save mine",
        "watermarks save mine",
        "submit . --recipe",
        "list --api-key-file",
        "serve --config",
    ],
)
def test_nor_is_it_the_working_directory_or_a_file(imgsvc: Run, command: str) -> None:
    for empty in ("", " "):
        ran = imgsvc(*command.split(), empty)
        assert ran.exit_code == 2
        assert "What was given is empty." in ran.stderr


@pytest.mark.parametrize("command", ["cancel", "retry", "delete"])
def test_an_unknown_job_is_said(imgsvc: Run, command: str) -> None:
    ran = imgsvc(command, NOBODY)
    assert ran.exit_code == 2
    assert "no such job" in ran.stderr.lower()
