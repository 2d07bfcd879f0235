"""`imgsvc submit --dry-run`: what would be sent, and what the server would refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imgsvc.client import SyncClient
from tests.cli.conftest import Run
from tests.client.pictures import picture
from tests.rights import confined
from tests.server_process import ServerProcess
from tests.watch_process import put

TABLE = b"S. No.,Product Name,Input Image Urls\n1,Shoe,http://127.0.0.1:9/a.jpg\n"


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(imgsvc: Run, photos: Path) -> None:
    ran = imgsvc("submit", photos, "--label=dry", "--dry-run")
    assert (ran.exit_code, ran.stdout) == (0, "a.png\nb.jpg\ntrip/c.png\n")
    assert "3 images" in ran.stderr
    document = imgsvc("submit", photos, "--label=dry", "--dry-run", "--json").document
    assert [image["name"] for image in document["images"]] == ["a.png", "b.jpg", "trip/c.png"]
    assert imgsvc("list", "--label=dry", "--json").document == []


def test_a_dry_run_refuses_more_images_than_the_server_takes(imgsvc: Run) -> None:
    urls = [f"https://x/{number}.jpg" for number in range(10_001)]
    sent, dry = imgsvc("submit", *urls), imgsvc("submit", *urls, "--dry-run")
    assert "at most 10000 images" in dry.stderr
    assert (dry.exit_code, dry.stdout, dry.stderr) == (sent.exit_code, "", sent.stderr)
    assert imgsvc("submit", *urls[1:], "--dry-run").exit_code == 0


def test_a_dry_run_names_files_as_they_are_in_the_job(
    imgsvc: Run, server: ServerProcess, tmp_path: Path
) -> None:
    """Also those whose names are in no encoding: not all readers of JSON take surrogates."""
    folder = tmp_path / "photos"
    for name in (b"caf\xe9.png", b"a\\b.png"):
        put(Path(os.fsdecode(os.fsencode(folder) + b"/" + name)), picture())
    dry = imgsvc("submit", folder, "--dry-run", "--json")
    assert "\\ud" not in dry.stdout
    job_id = imgsvc("submit", folder).stdout.strip()
    with SyncClient(server.url) as client:
        names = {image["name"] for image in client.images(job_id)}
    assert {image["name"] for image in dry.document["images"]} == names
    assert set(imgsvc("submit", folder, "--dry-run").stdout.splitlines()) == names


@pytest.mark.parametrize("source", ["photos", "list"])
@pytest.mark.parametrize(
    "wish",
    [
        "--preset=nonsense",
        "--preset=",
        '{"variants": [{"name": "a", "width": 0, "size": 1}]}',
        '{"variants": [{"name": "a", "watermark": {"preset_image": "nobodys"}}]}',
    ],
)
def test_a_dry_run_refuses_a_wish_that_the_server_refuses(
    imgsvc: Run, photos: Path, tmp_path: Path, source: str, wish: str
) -> None:
    recipe, table = tmp_path / "recipe.json", tmp_path / "list.csv"
    recipe.write_text(wish)
    table.write_bytes(TABLE)
    option = wish if wish.startswith("--") else f"--recipe={recipe}"
    command = ["submit", photos if source == "photos" else table, option]
    sent, dry = imgsvc(*command), imgsvc(*command, "--dry-run")
    assert (sent.exit_code, sent.stdout) == (2, "")
    assert dry == sent


@pytest.mark.parametrize("takes_notes", [True, False])
@pytest.mark.parametrize(("closed", "lines"), [(1, 1), (2, 3), (23, 22)])
def test_files_that_cannot_be_read_are_named_and_nothing_is_sent(
    server: ServerProcess, tmp_path: Path, closed: int, lines: int, takes_notes: bool
) -> None:
    folder, state = tmp_path / "photos", tmp_path / "state"
    for number in range(closed + 1):
        put(folder / f"{number:02}.png", picture())
        (folder / f"{number:02}.png").chmod(0o644 if number == closed else 0)
    state.mkdir(mode=0o700 if takes_notes else 0)
    command = [*confined(), sys.executable, "-m", "imgsvc", "submit", str(folder)]
    env = {**os.environ, "IMGSVC_SERVER": server.url, "XDG_STATE_HOME": str(state)}
    sent, dry = (
        subprocess.run([*command, *options], capture_output=True, text=True, env=env, check=False)
        for options in ([], ["--dry-run"])
    )
    assert (sent.returncode, sent.stdout) == (2, "")
    assert (dry.returncode, dry.stdout, dry.stderr) == (2, "", sent.stderr)
    said = sent.stderr.splitlines()
    assert len(said) == lines
    assert said[min(closed - 1, 1)].endswith("/00.png: Permission denied")
    if closed > 20:
        assert said[0] == "Error: 23 files cannot be read:"
        assert said[-1] == "  … and 3 more"


def test_a_dry_run_takes_what_the_server_keeps(imgsvc: Run, photos: Path, tmp_path: Path) -> None:
    imgsvc("presets", "save", "kept", "-", stdin=b'{"variants": [{"name": "a"}]}')
    assert imgsvc("submit", photos, "--preset=kept", "--dry-run").exit_code == 0
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"variants": [{"name": "a", "watermark": {"preset_image": "logo"}}]}')
    imgsvc("watermarks", "save", "logo", photos / "a.png")
    assert imgsvc("submit", photos, "--recipe", recipe, "--dry-run").exit_code == 0


def test_a_dry_run_refuses_a_preset_whose_watermark_is_gone(
    imgsvc: Run, photos: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"variants": [{"name": "a", "watermark": {"preset_image": "gone"}}]}')
    imgsvc("presets", "save", "marked", recipe)
    sent = imgsvc("submit", photos, "--preset=marked")
    assert (sent.exit_code, sent.stdout) == (2, "")
    assert imgsvc("submit", photos, "--preset=marked", "--dry-run") == sent


def test_a_dry_run_without_a_server_says_what_is_not_known(
    imgsvc: Run, photos: Path, tmp_path: Path
) -> None:
    command = ["submit", "--server=http://127.0.0.1:9", photos, "--dry-run"]
    ran = imgsvc(*command, "--preset=kept")
    assert (ran.exit_code, ran.stdout) == (0, "a.png\nb.jpg\ntrip/c.png\n")
    trouble, unknown, plan = ran.stderr.splitlines()
    assert trouble.startswith("No imgsvc server answers")
    assert unknown.startswith("So it is not known here")
    assert "a preset kept" in unknown
    assert plan.startswith("3 images")
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"variants": [{"name": "a", "watermark": {"preset_image": "logo"}}]}')
    assert "a watermark logo" in imgsvc(*command, "--recipe", recipe).stderr


def test_a_dry_run_without_a_server_judges_a_recipe(
    imgsvc: Run, photos: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"variants": []}')
    command = ["submit", "--server=http://127.0.0.1:9", photos, "--dry-run"]
    ran = imgsvc(*command, "--recipe", recipe)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "The recipe is not valid" in ran.stderr


def test_a_dry_run_names_urls(imgsvc: Run, photos: Path) -> None:
    given = ["https://x/a%5Cb%0A.jpg", "https://x/"]
    ran = imgsvc("submit", *given, photos / "a.png", "--dry-run", "--json")
    assert [(i["name"], i["url"]) for i in ran.document["images"]] == [
        ("a_b.jpg", given[0]), (None, given[1]), ("a.png", None),
    ]  # fmt: skip
    ran = imgsvc("submit", "https://x/a.jpg", "--dry-run")
    assert (ran.exit_code, ran.stdout) == (0, "https://x/a.jpg\n")
    assert ran.stderr == "1 URL would be sent.\n"
