from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from imgsvc.cli.progress import follow_job
from imgsvc.client import (
    Client,
    Job,
    ServerUnreachable,
    SyncClient,
)
from imgsvc.client.sending import Sending
from tests.cli.conftest import Run
from tests.client.pictures import picture
from tests.server_process import ServerProcess


def files_below(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_the_id_alone_goes_to_stdout(imgsvc: Run, photos: Path) -> None:
    ran = imgsvc("submit", photos)
    assert ran.exit_code == 0
    assert imgsvc("status", ran.stdout.strip(), "--json").document["total"] == 3
    assert "3 images" in ran.stderr


def test_the_job_says_where_it_came_from(imgsvc: Run, photos: Path) -> None:
    assert imgsvc("submit", photos, "--json").document["source"] == "cli"


def test_options_reach_the_job(imgsvc: Run, photos: Path) -> None:
    job = imgsvc(
        "submit", photos, "--preset=thumbnail", "--label=x", "--priority=low", "--json"
    ).document
    assert (job["preset"], job["label"], job["priority"]) == ("thumbnail", "x", "low")


@pytest.mark.parametrize("options", [[], ["--no-analysis"]])
def test_the_analysis_can_be_left_out(
    imgsvc: Run, server: ServerProcess, photos: Path, options: list[str]
) -> None:
    job_id = imgsvc("submit", photos, "--wait", *options).stdout.strip()
    with SyncClient(server.url) as client:
        analysed = [image["analysis"] is not None for image in client.images(job_id)]
    assert analysed == [not options] * 3


def test_out_waits_and_saves_the_results_in_the_same_folders(
    imgsvc: Run, photos: Path, tmp_path: Path
) -> None:
    ran = imgsvc("submit", photos, "--preset=thumbnail", "--out", tmp_path / "out")
    assert ran.exit_code == 0
    assert files_below(tmp_path / "out") == {"a.webp", "b.webp", "trip/c.webp"}
    assert "3 files" in ran.stderr


def test_results_of_a_first_run_are_not_sent_in_a_second(imgsvc: Run, photos: Path) -> None:
    for _ in range(2):
        ran = imgsvc("submit", photos, "--preset=thumbnail", "--out", photos / "out", "--json")
        assert ran.document["total"] == 3


def test_a_folder_is_not_its_own_out_folder(imgsvc: Run, photos: Path) -> None:
    """Else results of the first run would be sent in the second one."""
    ran = imgsvc("submit", photos, "--preset=thumbnail", "--out", photos)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "would be taken for new images" in ran.stderr
    assert files_below(photos) == {"a.png", "b.jpg", "trip/c.png"}


def test_originals_are_never_replaced_by_results(imgsvc: Run, photos: Path) -> None:
    before = (photos / "a.png").read_bytes()
    ran = imgsvc("submit", photos / "a.png", "--preset=compress", "--out", photos)
    assert ran.exit_code == 2
    assert (photos / "a.png").read_bytes() == before
    assert f"imgsvc download {ran.stdout.strip()}" in ran.stderr


def test_wait_prints_one_document_of_the_job_as_it_ended(imgsvc: Run, photos: Path) -> None:
    ran = imgsvc("submit", photos, "--wait", "--json")
    assert (ran.exit_code, ran.document["status"]) == (0, "completed")


def test_images_that_fail_are_named_with_the_reason_and_end_with_1(
    imgsvc: Run, photos: Path
) -> None:
    (photos / "bad\x1b[31m\u202e.jpg").write_bytes(b"no image")
    ran = imgsvc("submit", photos, "--wait")
    assert ran.exit_code == 1
    assert "1 image failed" in ran.stderr
    assert "  bad[31m.jpg: " in ran.stderr
    assert "(unsupported_format)" in ran.stderr
    assert "\x1b" not in ran.stderr
    assert "\u202e" not in ran.stderr


def test_a_long_list_of_failures_is_cut_short_and_all_of_it_has_a_place(
    server: ServerProcess, imgsvc: Run, tmp_path: Path
) -> None:
    for number in range(25):
        (tmp_path / f"{number:02}.png").write_bytes(b"no image")
    ran = imgsvc("submit", tmp_path, "--wait")
    assert "  19.png: " in ran.stderr
    assert "  20.png: " not in ran.stderr
    url = f"{server.url}/api/v1/jobs/{ran.stdout.strip()}/images?status=failed"
    assert f"  … and 5 more, see {url}\n" in ran.stderr
    assert "retry" not in ran.stderr


def test_one_image_can_come_from_stdin(imgsvc: Run, tmp_path: Path) -> None:
    ran = imgsvc("submit", "-", "--preset=thumbnail", "--out", tmp_path, stdin=picture("red"))
    assert ran.exit_code == 0
    assert files_below(tmp_path) == {"stdin.webp"}


def test_a_recipe_comes_from_a_file(imgsvc: Run, photos: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"variants": [{"name": "tiny", "width": 9, "format": "png"}]}))
    job = imgsvc("submit", photos, "--recipe", recipe, "--json").document
    assert job["recipe"]["variants"][0]["name"] == "tiny"


def test_what_is_wrong_in_a_recipe_is_said_by_place(
    imgsvc: Run, photos: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"variants": [{"name": "tiny", "width": "wide"}]}))
    ran = imgsvc("submit", photos, "--recipe", recipe)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "/variants/0/width: " in ran.stderr


@pytest.mark.parametrize(
    ("command", "above"), [("submit", "/recipe"), ("run", ""), ("plan", ""), ("presets save x", "")]
)
def test_all_wrong_places_of_a_recipe_are_told_from_where_it_stands_in_what_was_sent(
    imgsvc: Run, photos: Path, tmp_path: Path, command: str, above: str
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"variants": [{"name": "A", "width": 0, "height": 0}]}')
    words, out = command.split(), f"--out={tmp_path / 'out'}"
    options = [photos / "a.png", "--recipe", recipe] if words[1:] == [] else [recipe]
    ran = imgsvc(*words, *options, *([out] if command == "run" else []))
    assert ran.exit_code == 2
    assert re.findall(r" (\S*/variants/\S+):", ran.stderr) == [
        f"{above}/variants/0/{field}" for field in ("name", "width", "height")
    ]


@pytest.mark.parametrize("text", ["", "[]", "{", "\udcff"])
def test_a_recipe_that_is_no_json_object_is_refused_here(
    imgsvc: Run, photos: Path, tmp_path: Path, text: str
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_bytes(text.encode(errors="surrogateescape"))
    ran = imgsvc("submit", photos, "--recipe", recipe)
    assert ran.exit_code == 2
    assert f"The recipe {recipe}" in ran.stderr.replace("\n", "")


def test_a_preset_beside_a_recipe_is_refused(imgsvc: Run, photos: Path) -> None:
    assert imgsvc("submit", photos, "--preset=web", "--recipe", photos / "a.png").exit_code == 2


def test_an_unknown_preset_is_refused_with_the_known_ones(imgsvc: Run, photos: Path) -> None:
    ran = imgsvc("submit", photos, "--preset=nonsense")
    assert ran.exit_code == 2
    assert "thumbnail" in ran.stderr


def test_a_path_that_means_no_image_ends_with_2_and_sends_nothing(
    imgsvc: Run, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "gone", tmp_path / "*.gif"):
        ran = imgsvc("submit", photos, path, "--label=nothing sent")
        assert (ran.exit_code, ran.stdout) == (2, "")
        assert path.name in ran.stderr
    assert imgsvc("list", "--label=nothing sent", "--json").document == []


def test_where_results_have_no_place_nothing_is_sent(imgsvc: Run, photos: Path) -> None:
    ran = imgsvc("submit", photos, "--out", photos / "a.png" / "out", "--label=no place")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "Not a directory" in ran.stderr
    assert imgsvc("list", "--label=no place", "--json").document == []


def test_nor_where_they_have_one_that_takes_no_files(
    imgsvc: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgsvc.cli.submit.takes_files", lambda _: False)
    ran = imgsvc("submit", photos, "--out", tmp_path / "out", "--label=no place")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "out: Permission denied" in ran.stderr
    assert imgsvc("list", "--label=no place", "--json").document == []


def test_a_result_that_is_lost_is_named_and_ends_with_1(
    server: ServerProcess,
    imgsvc: Run,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def follow_and_lose(client: Client, job_id: str) -> Job:
        job = await follow_job(client, job_id)
        shutil.rmtree(server.data_dir / "jobs" / job_id / "out")
        return job

    monkeypatch.setattr("imgsvc.cli.submit.follow_job", follow_and_lose)
    ran = imgsvc("submit", photos, "--preset=thumbnail", "--out", tmp_path / "out")
    assert ran.exit_code == 1
    assert "3 files lost or damaged on the server:\n  a.webp\n" in ran.stderr
    imgsvc("delete", ran.stdout.strip())  # a backup of this server would miss them


def test_results_that_have_no_place_are_saved_by_the_same_command_when_they_have(
    imgsvc: Run, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "the results"
    (out / "a.webp").mkdir(parents=True)
    command = ["submit", photos, "--preset=thumbnail", "--out", out]
    ran = imgsvc(*command)
    job_id = ran.stdout.strip()
    assert ran.exit_code == 1
    assert f"  {out}/a.webp: Is a directory\n" in ran.stderr
    assert f"imgsvc download {job_id} --out '{out}'\n" in ran.stderr
    assert files_below(out) == {"b.webp", "trip/c.webp"}
    (out / "a.webp").rmdir()
    again = imgsvc(*command)
    assert (again.exit_code, again.stdout.strip()) == (0, job_id)
    assert files_below(out) == {"a.webp", "b.webp", "trip/c.webp"}
    assert imgsvc(*command).stdout.strip() != job_id


def test_many_images_are_sent_in_groups_and_no_note_is_left(imgsvc: Run, tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number:02}.png").write_bytes(picture((number, 1, 1)))
    ran = imgsvc("submit", tmp_path, "--preset=thumbnail", "--wait", "--json")
    assert (ran.exit_code, ran.document["total"], ran.document["status"]) == (0, 100, "completed")
    again = imgsvc("submit", tmp_path, "--preset=thumbnail", "--json")
    assert again.document["id"] != ran.document["id"]


def test_an_interrupted_submit_is_spoken_of(
    imgsvc: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        (tmp_path / f"{number:02}.png").write_bytes(picture((number, 7, 7)))

    async def break_off(_self: Sending, _job_id: str) -> Any:
        raise ServerUnreachable("http://nowhere", "the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(Sending, "_close", break_off)
        ran = imgsvc("submit", tmp_path)
    assert ran.exit_code == 3
    assert "The same command again" in ran.stderr
    (tmp_path / "00.png").unlink()
    dry = imgsvc("submit", tmp_path, "--dry-run")
    assert "An earlier submit broke off" in dry.stderr
    again = imgsvc("submit", tmp_path)
    assert "Going on with job" in again.stderr
    assert "All of 99 images" in again.stderr
    assert "The job has 1 more" in again.stderr


def test_urls_are_sent_as_they_are_beside_files(imgsvc: Run, photos: Path) -> None:
    """The test's server asks nobody on this machine."""
    url = "http://127.0.0.1:9/shop/d%20e.jpg"
    ran = imgsvc("submit", url, photos / "a.png", "--wait", "--json")
    assert (ran.exit_code, ran.document["errors"]) == (1, {"fetch_blocked": 1})
    assert "d e.jpg" in ran.stderr
    ran = imgsvc("submit", url, "--wait")
    assert ran.exit_code == 1


def test_of_an_image_that_failed_the_url_is_said_without_its_login(
    imgsvc: Run, photos: Path
) -> None:
    (photos / "bad.png").write_bytes(b"no image")
    url = "http://anna:secret@127.0.0.1:9/shop/1.jpg"
    ran = imgsvc("submit", url, photos / "bad.png", "--wait")
    assert "  1.jpg from http://***@127.0.0.1:9/shop/1.jpg: " in ran.stderr
    assert "  bad.png: " in ran.stderr
    assert "secret" not in ran.stderr


def test_urls_are_told_from_images_that_were_sent(imgsvc: Run, photos: Path) -> None:
    urls = ["http://127.0.0.1:9/a.jpg", "http://127.0.0.1:9/b.jpg"]
    assert imgsvc("submit", *urls).stderr.startswith("Sent 2 URLs.\n")
    size_bytes = (photos / "a.png").stat().st_size
    both = imgsvc("submit", *urls, photos / "a.png")
    assert both.stderr.startswith(f"Sent 1 image ({size_bytes} B) and 2 URLs.\n")


def test_a_url_that_is_not_fetched_is_not_taken_for_a_file_that_is_missing(imgsvc: Run) -> None:
    ran = imgsvc("submit", "ftp://anna:secret@x/a.jpg")
    assert ran.exit_code == 2
    said = "Error: ftp://***@x/a.jpg is no file; `submit` takes images by URLs of http and https.\n"
    assert ran.stderr.endswith(said)
