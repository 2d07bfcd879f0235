"""`imgsvc presets`: listing, showing, saving and deleting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run

TINY = {"variants": [{"name": "tiny", "width": 8, "height": 8, "format": "png"}]}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(TINY))
    return file


@pytest.fixture
def shop(imgsvc: Run, recipe: Path) -> Iterator[str]:
    """An own preset."""
    assert imgsvc("presets", "save", "shop", recipe).exit_code == 0
    yield "shop"
    imgsvc("presets", "delete", "shop")


def test_presets_say_what_they_make_and_whose_they_are(imgsvc: Run, shop: str) -> None:
    lines = [line.split("\t") for line in imgsvc("presets").stdout.splitlines()]
    rows = {name: tuple(rest) for name, *rest in lines}
    assert rows["thumbnail"] == ("built-in", "thumbnail 200x200 fit webp q85")
    assert rows["compress"] == ("built-in", "compress same q50")
    assert rows[shop] == ("own", "tiny 8x8 fit png")
    document = imgsvc("presets", "--json").document
    assert [preset["name"] for preset in document] == list(rows)
    assert imgsvc("presets", "list", "--json").document == document


def test_a_preset_is_shown_in_words_and_whole(imgsvc: Run, shop: str) -> None:
    lines = imgsvc("presets", "show", shop).stdout.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines)
    assert (facts["Preset"], facts["Kind"], facts["Makes"]) == (shop, "own", "tiny 8x8 fit png")
    document = imgsvc("presets", "show", shop, "--json").document
    assert (document["readonly"], document["recipe"]) == (False, TINY)
    assert facts["Changed"] == document["updated_at"]
    assert "Changed" not in imgsvc("presets", "show", "web").stdout


def test_a_preset_is_saved_from_a_file_and_says_what_it_makes(imgsvc: Run, recipe: Path) -> None:
    ran = imgsvc("presets", "save", "filed", recipe)
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert "Saved filed: tiny 8x8 fit png." in ran.stderr
    saved = imgsvc("presets", "save", "filed", recipe, "--json").document
    assert (saved["name"], saved["recipe"]) == ("filed", TINY)
    deleted = imgsvc("presets", "delete", "filed", "--json").document
    assert deleted == {"name": "filed", "deleted": True}


def test_what_is_shown_of_any_preset_can_be_saved_from_stdin(imgsvc: Run) -> None:
    shown = imgsvc("presets", "show", "square", "--json")
    ran = imgsvc("presets", "save", "copy", "-", "--json", stdin=shown.stdout.encode())
    assert (ran.document["name"], ran.document["readonly"]) == ("copy", False)
    assert ran.document["recipe"] == shown.document["recipe"]
    assert imgsvc("presets", "delete", "copy").exit_code == 0


def test_a_submit_by_an_own_preset_makes_what_it_says(
    imgsvc: Run, photos: Path, tmp_path: Path, shop: str
) -> None:
    ran = imgsvc("submit", photos, "--preset", shop, "--out", tmp_path / "out", "--json")
    assert (ran.exit_code, ran.document["preset"]) == (0, shop)
    assert (tmp_path / "out" / "trip" / "c.png").exists()


def test_a_run_without_a_server_says_that_it_knows_no_own_preset(
    imgsvc: Run, photos: Path, tmp_path: Path, shop: str
) -> None:
    ran = imgsvc("run", photos, "--out", tmp_path / "out", "--preset", shop)
    assert ran.exit_code == 2
    assert "Without a server" in ran.stderr
    assert "thumbnail" in ran.stderr


def test_a_wrong_recipe_ends_with_2_and_names_the_place(imgsvc: Run) -> None:
    wrong = b'{"variants": [{"name": "v", "width": 0}]}'
    ran = imgsvc("presets", "save", "wrong", "-", stdin=wrong)
    assert ran.exit_code == 2
    assert "/variants/0/width" in ran.stderr


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe\xff", b'"recipe"'])
def test_a_file_that_is_no_recipe_ends_with_2(imgsvc: Run, text: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(text)
    for file in (tmp_path / "file", "-"):
        ran = imgsvc("presets", "save", "wrong", file, stdin=text)
        assert ran.exit_code == 2
        assert f"The recipe {file} is no" in ran.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["delete", "thumbnail"], "cannot be changed"),
        (["delete", "nobody"], "no preset of that name"),
        (["show", "nobody"], "no preset of that name"),
        (["save", "thumbnail", "FILE"], "cannot be changed"),
        (["save", "No Name", "FILE"], "1 to 40 of a-z"),
        (["save", "mine", "FILE.gone"], "cannot be read"),
        (["nonsense"], "No such command"),
        (["--json", "show", "web"], "unexpected extra arguments"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_says_why(
    imgsvc: Run, recipe: Path, arguments: list[str], said: str
) -> None:
    given = [argument.replace("FILE", str(recipe)) for argument in arguments]
    ran = imgsvc("presets", *given)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert said in ran.stderr


@pytest.mark.parametrize("arguments", [[], ["show", "web"], ["delete", "mine"]])
def test_without_a_server_it_ends_with_3(
    imgsvc: Run, arguments: list[str], unused_tcp_port: int
) -> None:
    server = f"http://127.0.0.1:{unused_tcp_port}"
    assert imgsvc("presets", *arguments, "--server", server).exit_code == 3


def test_help_names_what_can_be_done_with_presets(imgsvc: Run) -> None:
    text = imgsvc("presets", "--help").stdout
    assert all(f"  {name} " in text for name in ("list", "show", "save", "delete"))
