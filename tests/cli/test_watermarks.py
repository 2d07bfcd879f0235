"""`imgsvc watermarks`, and watermarks of `imgsvc run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run
from tests.client.pictures import picture

RECIPE = {
    "variants": [
        {
            "name": "v",
            "format": "png",
            "width": 40,
            "height": 40,
            "mode": "force",
            "watermark": {"preset_image": "logo", "opacity": 1, "scale": 1, "margin": 0},
        }
    ]
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(RECIPE))
    return file


def _logo(tmp_path: Path, colour: str) -> Path:
    file = tmp_path / "logo.png"
    Image.new("RGB", (10, 10), colour).save(file)
    return file


def test_a_watermark_is_saved_listed_shown_and_deleted(imgsvc: Run, tmp_path: Path) -> None:
    saved = imgsvc("watermarks", "save", "mine", _logo(tmp_path, "red"))
    assert (saved.exit_code, "Saved mine, 10x10" in saved.stderr) == (0, True)
    assert "mine\t10x10" in imgsvc("watermarks").stdout
    shown = imgsvc("watermarks", "show", "mine", "--json").document
    assert shown in imgsvc("watermarks", "--json").document
    assert shown["sha256"] in imgsvc("watermarks", "show", "mine").stdout
    deleted = imgsvc("watermarks", "delete", "mine", "--json").document
    assert deleted == {"name": "mine", "deleted": True}
    assert imgsvc("watermarks", "show", "mine").exit_code == 2


def test_what_cannot_be_saved_is_told(imgsvc: Run, tmp_path: Path) -> None:
    file = tmp_path / "text.png"
    file.write_text("no picture")
    refused = imgsvc("watermarks", "save", "bad", file)
    assert (refused.exit_code, "not an image" in refused.stderr) == (2, True)
    assert imgsvc("watermarks", "save", "Bad", _logo(tmp_path, "red")).exit_code == 2
    assert imgsvc("watermarks", "save", "bad", tmp_path / "nothing").exit_code == 2


def test_a_run_brings_its_watermarks_as_files(
    imgsvc: Run, photos: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ("run", photos, "--out", out, "--recipe", recipe, "--workers=1", "--json")

    def run(colour: str) -> dict[str, int]:
        logo = _logo(tmp_path, colour)
        ran = imgsvc(*arguments, "--watermark", f"logo={logo}", "--watermark", "other=none")
        assert ran.exit_code == 0, ran.stderr
        summary: dict[str, int] = ran.document
        return summary

    assert run("red")["completed"] == 3
    with Image.open(out / "a.png") as made:
        assert made.getpixel((20, 20)) == (255, 0, 0)
    assert run("red")["skipped"] == 3
    assert run("blue")["completed"] == 3
    with Image.open(out / "a.png") as made:
        assert made.getpixel((20, 20)) == (0, 0, 255)
    assert list((out / ".imgsvc" / "watermarks").iterdir()) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "give --watermark logo=FILE"),
        (["other=x.png"], "give --watermark logo=FILE"),
        (["logo"], "give NAME=FILE"),
        (["logo="], "give NAME=FILE"),
        (["Logo=x.png"], "a name is"),
        (["logo=x.png", "logo=x.png"], "given twice"),
        (["logo=nowhere.png"], "cannot be read"),
    ],
)
def test_a_wrong_watermark_of_a_run_is_told_at_once(
    imgsvc: Run, photos: Path, recipe: Path, tmp_path: Path, given: list[str], said: str
) -> None:
    options = [part for text in given for part in ("--watermark", text)]
    ran = imgsvc("run", photos, "--out", tmp_path / "out", "--recipe", recipe, *options)
    assert (ran.exit_code, said in ran.stderr) == (2, True), ran.stderr


def test_a_watermark_of_a_run_that_is_no_picture_is_told(
    imgsvc: Run, photos: Path, recipe: Path, tmp_path: Path
) -> None:
    file = tmp_path / "text.png"
    file.write_bytes(picture("red")[:40])
    ran = imgsvc(
        "run", photos, "--out", tmp_path / "out", "--recipe", recipe, "--workers=1",
        "--watermark", f"logo={file}",
    )  # fmt: skip
    assert (ran.exit_code, "text.png cannot be used" in ran.stderr) == (2, True), ran.stderr
