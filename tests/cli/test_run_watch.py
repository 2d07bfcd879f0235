"""`imgsvc run --watch`: what arrives in folders is made once for every content."""

from __future__ import annotations

import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from imgsvc.cli.main import cli
from tests.cli.conftest import Start
from tests.client.pictures import picture
from tests.watch_process import (
    NO_IMAGE,
    colour_of,
    failures_in,
    put,
    results_in,
)


@pytest.fixture
def start(start_command: Start) -> Start:
    return partial(start_command, "run", "--watch", "--workers=2", "--preset=thumbnail")


def test_what_is_there_is_made_and_then_what_arrives(start: Start, photos: Path, out: Path) -> None:
    put(photos / "a.jpg", picture("green", format_="JPEG"))
    watching = start(photos, "--out", out)
    watching.wait_for("a.png", "a.jpg", "b.jpg", "trip/c.png")
    put(photos / "new" / "d.png", picture("red"), is_old=False)
    put(photos / "b.png", picture("red"), is_old=False)
    watching.wait_for("new/d.png", "b.png")
    assert watching.stop(signal.SIGINT) == 130
    assert "6 images done" in watching.said
    assert results_in(out) == {
        "a.png.webp", "a.jpg.webp", "b.webp", "b.png.webp", "trip/c.webp", "new/d.webp",
    }  # fmt: skip


def test_several_folders_stay_apart(start: Start, photos: Path, out: Path) -> None:
    other = photos.with_name("other")
    shutil.copytree(photos, other)
    watching = start(photos, other, "--out", out)
    watching.wait(lambda: len(watching.names()) == 6)
    put(other / "d.png", picture("red"), is_old=False)
    watching.wait_for("other/d.png")
    assert {f"{photos.name}/a.webp", "other/a.webp", "other/d.webp"} <= results_in(out)


def test_started_again_it_repeats_nothing_and_keeps_names(
    start: Start, photos: Path, out: Path
) -> None:
    first = start(photos, "--out", out)
    first.wait_for("a.png", "b.jpg", "trip/c.png")
    assert first.stop() == 0
    put(photos / "a.jpg", picture("green", format_="JPEG"))
    put(photos / "b.jpg", picture("blue", format_="JPEG"), is_old=False)
    (out / "trip" / "c.webp").unlink()
    again = start(photos, "--out", out)
    again.wait_for("a.jpg", "b.jpg", "trip/c.png")
    again.stop()
    assert sorted(again.names()) == ["a.jpg", "b.jpg", "trip/c.png"]
    assert results_in(out) == {"a.webp", "a.jpg.webp", "b.webp", "trip/c.webp"}
    assert colour_of(out / "b.webp") == "blue"


def test_what_a_run_has_made_is_not_made_again(start: Start, photos: Path, out: Path) -> None:
    arguments = ["run", str(photos), "--out", str(out), "--preset=thumbnail", "--workers=2"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    watching = start(photos, "--out", out)
    put(photos / "a.jpg", picture("green", format_="JPEG"), is_old=False)
    watching.wait_for("a.jpg")
    watching.stop()
    assert watching.names() == ["a.jpg"]
    assert results_in(out) == {"a.webp", "a.jpg.webp", "b.webp", "trip/c.webp"}


def test_a_failure_is_listed_and_tried_again_when_the_file_changes(
    start: Start, photos: Path, out: Path
) -> None:
    put(photos / "bad.png", NO_IMAGE)
    first = start(photos, "--out", out)
    first.wait_for("bad.png", status="failed")
    first.wait_for("a.png", "b.jpg", "trip/c.png")
    first.stop()
    again = start(photos, "--out", out)
    put(photos / "d.png", picture("red"), is_old=False)
    again.wait_for("d.png")
    assert again.names("failed") == []
    assert [row[:2] for row in failures_in(out)] == [["bad.png", "unsupported_format"]]
    put(photos / "bad.png", picture("red"), is_old=False)
    again.wait_for("bad.png")
    again.stop()
    assert not (out / "failures.csv").exists()


def test_the_newest_content_of_a_file_wins(start: Start, photos: Path, out: Path) -> None:
    watching = start(photos, "--out", out)
    watching.wait_for("a.png")
    watching.forget()
    (photos / "a.png").write_bytes(picture("blue"))
    watching.wait_for("a.png")
    assert colour_of(out / "a.webp") == "blue"


def test_killed_again_and_again_it_forgets_nothing(start: Start, photos: Path, out: Path) -> None:
    for number in range(40):
        put(photos / "many" / f"{number}.png", picture((number, 0, 0), size=(900, 700)))
    made: list[str] = []
    for number in range(3):
        put(photos / f"new-{number}.png", picture("red"))  # the last one may have done all before
        watching = start(photos, "--out", out)
        watching.wait(lambda: watching.documents)  # noqa: B023 - it is waited for at once
        watching.stop(signal.SIGKILL)
        made += watching.names()
    watching = start(photos, "--out", out)
    put(photos / "last.png", picture("red"), is_old=False)
    watching.wait_for("last.png")
    # One that was killed may have left a part, which is too young to be swept.
    watching.wait(lambda: sum(name.endswith(".webp") for name in results_in(out)) == 47)
    made += watching.names()
    assert len(made) == len(set(made))


def test_one_result_that_cannot_be_saved_holds_up_no_other(
    start: Start, photos: Path, out: Path
) -> None:
    (out / "a.webp" / "in the way").mkdir(parents=True)
    watching = start(photos, "--out", out)
    watching.wait_for("b.jpg", "trip/c.png")
    watching.wait_for("a.png", status="failed")
    put(photos / "d.png", picture("red"), is_old=False)
    watching.wait_for("d.png")
    watching.stop()
    assert watching.names("failed") == ["a.png"]
    assert [row[:2] for row in failures_in(out)] == [["a.png", "not_saved"]]
    assert results_in(out) == {"b.webp", "trip/c.webp", "d.webp", "failures.csv"}


def test_links_that_lead_out_and_unfinished_files_are_left_alone(
    start: Start, photos: Path, tmp_path: Path
) -> None:
    put(tmp_path / "secret.png", picture("green"))
    (photos / "link.png").symlink_to(tmp_path / "secret.png")
    (photos / "up").symlink_to(tmp_path)
    put(photos / "x.png.part", picture("red"))
    put(Path(os.fsdecode(os.fsencode(photos) + b"/caf\xe9.png")), picture("blue"))
    out = photos / "out"
    watching = start(photos, "--out", out, "--polling")
    watching.wait_for_words("link.png is a link that leads out")
    watching.wait(lambda: len(watching.names()) == 4)
    put(photos / "last.png", picture("red"), is_old=False)
    watching.wait_for("last.png")
    assert results_in(out) == {"a.webp", "b.webp", "caf_.webp", "last.webp", "trip/c.webp"}


def test_a_folder_that_vanishes_is_waited_for(start: Start, photos: Path, out: Path) -> None:
    watching = start(photos, "--out", out, "--polling")
    watching.wait_for("a.png", "b.jpg", "trip/c.png")
    away = photos.with_name("away")
    photos.rename(away)
    watching.wait_for_words("is gone and is waited for")
    put(away / "d.png", picture("red"))
    away.rename(photos)
    watching.wait_for("d.png")
    assert len(watching.names()) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--out=out"], "takes folders"),
        (["photos/a.png", "--out=out"], "takes folders"),
        (["photos", "--out=photos"], "would be taken for new images"),
        (["photos", "photos/trip", "--out=out"], "lie in each other"),
        (["photos", "more/photos", "--out=out"], "are called photos"),
        (["results", "--out=out"], "has results of imgsvc"),
        (["photos", "--out=out", "--dry-run"], "either"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    photos: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    photos.rename(photos.with_name("photos"))
    (photos.parent / "results" / ".imgsvc").mkdir(parents=True)
    (photos.parent / "more" / "photos").mkdir(parents=True)
    monkeypatch.chdir(photos.parent)
    result = CliRunner().invoke(cli, ["run", "--watch", *arguments])
    assert result.exit_code == 2
    assert words in result.output
    assert not Path("out").exists()


def test_it_ends_when_its_out_folder_is_gone(start: Start, photos: Path, out: Path) -> None:
    watching = start(photos, "--out", out)
    watching.wait_for("a.png")
    away = out.rename(out.with_name("away"))
    watching.wait_for_words("Error:")
    assert watching.end() == 2
    assert "it is gone" in watching.said
    assert "backup" not in watching.said
    assert not out.exists()
    put(photos / "late.png", picture("red"))
    away.rename(out)
    again = start(photos, "--out", out)
    again.wait_for("late.png")
