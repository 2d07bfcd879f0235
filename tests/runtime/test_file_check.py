"""Files that are not what the database says are found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from imgsvc.cli import doctor
from imgsvc.cli.main import cli
from imgsvc.client import Client
from imgsvc.runtime.file_check import FileCheck, check_files
from tests.pictures import make_jpeg
from tests.servers import make_settings, running_server, submit


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """With an image that is completed and one that failed, and a watermark."""
    async with (
        running_server(make_settings(tmp_path / "data")) as server,
        Client(server.url) as client,
    ):
        await submit(server, ("a.jpg", make_jpeg(30, 20)), ("b.jpg", b"no image"))
        await client.save_watermark("logo", make_jpeg(8, 8))
    return tmp_path / "data"


def _one(data_dir: Path, pattern: str) -> Path:
    return sorted(data_dir.glob(pattern))[0]


def test_files_that_are_as_they_were_kept_are_no_fault(data_dir: Path) -> None:
    found = check_files(data_dir)
    assert (found.missing, found.changed) == ([], [])
    files = [path for folder in ("jobs", "watermarks") for path in (data_dir / folder).rglob("*")]
    assert found.read == sum(path.is_file() for path in files)
    assert found.size_bytes == sum(path.stat().st_size for path in files if path.is_file())


def test_what_is_missing_or_changed_is_named(data_dir: Path) -> None:
    output, watermark = _one(data_dir, "jobs/*/out/*"), _one(data_dir, "watermarks/*")
    content = bytearray(output.read_bytes())
    content[-1] ^= 1
    output.write_bytes(content)
    watermark.unlink()
    found = check_files(data_dir)
    assert (found.missing, found.changed) == ([watermark], [output])
    arguments = ["doctor", "--data", str(data_dir)]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    result = CliRunner().invoke(cli, [*arguments, "--files"])
    assert result.exit_code == 1
    assert f"missing: {watermark}" in result.stdout
    assert f"changed: {output}" in result.stdout


def test_of_very_many_the_first_are_named_in_lines_of_their_own_and_all_in_json(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = [data_dir / f"{number:02}" for number in range(27)]
    found = FileCheck(read=1, missing=missing, changed=[data_dir / "b"])
    monkeypatch.setattr(doctor, "check_files", lambda *_, **__: found)
    arguments = ["doctor", "--data", str(data_dir), "--files"]
    *_, fact, first, second = (lines := CliRunner().invoke(cli, arguments).stdout.splitlines())[
        :-20
    ]
    assert "27 missing, 1 changed\t" in fact
    assert (first, second) == (f"missing: {missing[0]}", f"missing: {missing[1]}")
    assert lines[-3:] == [
        f"missing: {missing[19]}",
        "… and 7 more missing, which --json names",
        f"changed: {data_dir / 'b'}",
    ]
    *others, last = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)
    assert last["files"] == {"missing": [*map(str, missing)], "changed": [str(data_dir / "b")]}
    assert {other["files"] for other in others} == {None}


def test_an_input_may_be_gone_only_when_its_image_is_completed_and_inputs_are_not_kept(
    data_dir: Path,
) -> None:
    shutil.rmtree(_one(data_dir, "jobs/*/in"))
    arguments = ["doctor", "--data", str(data_dir), "--files"]
    result = CliRunner().invoke(cli, arguments)
    assert "2 missing" in result.stdout
    env = {"IMGSVC_STORAGE__KEEP_INPUTS": "false"}
    result = CliRunner().invoke(cli, arguments, env=env)
    assert "1 missing" in result.stdout


def test_without_the_database_nobody_knows_the_files(data_dir: Path) -> None:
    (data_dir / "imgsvc.db").unlink()
    result = CliRunner().invoke(cli, ["doctor", "--data", str(data_dir), "--files"])
    assert result.exit_code == 1
    assert "nobody knows them" in result.stdout
