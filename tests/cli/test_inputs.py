from __future__ import annotations

import os
import shutil
from pathlib import Path

import click
import pytest

from imgsvc.cli import inputs
from imgsvc.cli.inputs import find_files, is_url, refuse_out_above, refuse_results, say_left_out
from imgsvc.domain.input_names import name_of_url
from imgsvc.folders.scan import Folder
from imgsvc.folders.settling import Settled
from imgsvc.folders.verdicts import Verdict, judge
from tests.rights import let_others_in, without_rights


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `photos` in the working directory, with what folders of photos hold."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "photos/b.JPG",
        "photos/a.png",
        "photos/trip/c.webp",
        "photos/trip/notes.txt",
        "photos/.hidden.jpg",
        "photos/.cache/d.jpg",
        "photos/out/a.webp",
        "more/a.png",
        "empty/readme",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path


def names(*paths: str, leave_out: str | None = None) -> list[str]:
    return [file.name for file in find_files(paths, Path(leave_out) if leave_out else None)]


@pytest.mark.usefixtures("tree")
class TestFindFiles:
    def test_a_folder_gives_its_images_in_order_and_no_hidden_ones(self) -> None:
        assert names("photos") == ["a.png", "b.JPG", "out/a.webp", "trip/c.webp"]

    def test_it_gives_what_watching_it_would_take(self) -> None:
        """Also what has no image's name but begins as one does; nothing that is unfinished."""
        for name in ("scan", "scan.dat", "scan.part", "c.jpg~", ".scan", "trip.tmp/d.png"):
            path = Path("more", name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"\x89PNG\r\n\x1a\n")
        folder = Folder(Path("more"))
        settled = [Settled(one, has_waited=True) for one in folder.scan()]
        watched = {one.sighting.name for one in settled if judge(folder, one) is Verdict.TAKE}
        assert set(names("more")) == watched == {"a.png", "scan", "scan.dat"}

    def test_the_folder_of_results_is_left_out(self) -> None:
        assert names("photos", leave_out="photos/out") == ["a.png", "b.JPG", "trip/c.webp"]

    def test_the_working_directory_is_a_folder_like_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir("more")
        assert names(".") == ["a.png"]

    def test_beside_others_a_folder_keeps_its_name(self) -> None:
        assert names("more", "photos/trip") == ["more/a.png", "trip/c.webp"]

    def test_beside_others_a_folder_given_by_dots_keeps_its_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir("photos/trip")
        assert names(".", "../../more") == ["trip/c.webp", "more/a.png"]

    def test_a_file_named_itself_is_taken_whatever_it_is(self) -> None:
        assert names("photos/trip/notes.txt", "photos/.hidden.jpg") == ["notes.txt", ".hidden.jpg"]

    def test_a_pattern_does_not_look_into_the_folder_of_results_unless_it_begins_there(
        self,
    ) -> None:
        assert names("photos/*", leave_out="photos/out") == ["a.png", "b.JPG", "trip/c.webp"]
        assert names("photos/**/*.webp", leave_out="photos/out") == ["trip/c.webp"]
        assert names("photos/out/*.webp", leave_out="photos/out") == ["a.webp"]
        assert names("photos/*.png", leave_out="photos") == ["a.png"]

    def test_a_pattern_is_resolved_and_keeps_folders(self) -> None:
        assert names("photos/**/*.webp") == ["out/a.webp", "trip/c.webp"]

    def test_a_pattern_that_matches_a_folder_takes_what_is_below(self) -> None:
        assert names("photos/tri*") == ["trip/c.webp"]

    def test_a_file_whose_name_looks_like_a_pattern_is_a_file(self) -> None:
        Path("a[1].jpg").touch()
        assert names("a[1].jpg") == ["a[1].jpg"]

    def test_nothing_is_taken_twice(self) -> None:
        assert names("photos/a.png", "photos/../photos/*.png", "photos/a.png") == ["a.png"]

    def test_sizes_come_along(self) -> None:
        assert [file.size_bytes for file in find_files(["more"])] == [5]

    def test_links_are_files_of_their_own(self) -> None:
        Path("more/b.png").symlink_to("a.png")
        assert names("more") == ["a.png", "b.png"]
        assert names("more/a.png", "more/b.png") == ["a.png", "b.png"]

    def test_also_those_that_lead_into_the_folder_of_results(self) -> None:
        Path("more/b.png").symlink_to("../photos/out/a.webp")
        assert names("more/*.png", leave_out="photos/out") == ["a.png", "b.png"]
        Path("more/out").symlink_to("../photos/out")
        assert names("more/*", leave_out="photos/out") == ["a.png", "b.png"]

    def test_a_link_to_nowhere_in_a_folder_is_passed_over(self) -> None:
        Path("more/gone.jpg").symlink_to("nowhere")
        assert names("more") == ["a.png"]

    def test_a_name_that_is_no_utf8_is_taken(self) -> None:
        Path(os.fsdecode(b"more/\xff.jpg")).touch()
        assert names("more") == ["a.png", "\udcff.jpg"]

    @pytest.mark.parametrize("path", ["empty", "photos/.cache/nothing", "*.gif", ""])
    def test_a_path_that_means_no_image_is_an_error_that_names_it(self, path: str) -> None:
        with pytest.raises(click.UsageError, match=r"There (is|are) no"):
            names("photos", path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://x/a.jpg", True), ("HTTPS://x", True), ("ftp://x/a.jpg", False),
        ("http:a.jpg", False), ("a/http://x", False),
    ],
)  # fmt: skip
def test_urls_are_told_from_paths(text: str, expected: bool) -> None:
    assert is_url(text) is expected


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x/shop/a.jpg?size=2#top", "a.jpg"), ("https://x/a%20b.jpg", "a b.jpg"),
        ("https://x/", None), ("https://x", None), ("http://[::1", None),
        ("https://x/a%00b%0a.jpg", "ab.jpg"), ("https://x/a%2fb%5Cc.jpg", "a_b_c.jpg"),
        ("https://x/%00", None), (f"https://x/{'a' * 300}.jpg", f"{'a' * 251}.jpg"),
    ],
)  # fmt: skip
def test_a_url_is_called_by_its_last_part(url: str, name: str | None) -> None:
    assert name_of_url(url) == name


def test_what_is_left_out_of_folders_is_said(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left_out: list[Path] = []
    (tree / "photos" / "raw.CR2").write_bytes(b"12345")
    (tree / "photos" / "more.cr2").write_bytes(b"12345")
    find_files(["photos"], left_out=left_out)
    say_left_out(left_out)
    assert capsys.readouterr().err == "3 files are left out, as no images: .cr2, .txt\n"
    say_left_out([])
    assert capsys.readouterr().err == ""


def test_links_that_lead_nowhere_are_said(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left_out: list[Path] = []
    (tree / "more" / "gone.jpg").symlink_to("nowhere")
    find_files(["more"], left_out=left_out)
    say_left_out(left_out)
    assert capsys.readouterr().err == "1 link that leads nowhere is left out: gone.jpg\n"
    (tree / "more" / "round.png").symlink_to("round.png")
    (tree / "more" / "notes.txt").write_bytes(b"a")
    find_files(["more"], left_out=left_out)
    say_left_out(left_out[1:])
    assert capsys.readouterr().err.splitlines() == [
        "1 file is left out, as no images: .txt",
        "2 links that lead nowhere are left out: gone.jpg, round.png",
    ]


def test_where_there_is_nothing_else_they_are_said_too(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "empty" / "gone.jpg").symlink_to("nowhere")
    with pytest.raises(click.UsageError, match=r"^There are no images in empty\.$"):
        find_files(["more", "empty"], left_out=[])
    assert capsys.readouterr().err.splitlines() == [
        "1 file is left out, as no images: readme",
        "1 link that leads nowhere is left out: gone.jpg",
    ]


def test_links_to_folders_are_said_with_what_to_do(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "empty" / "dirlink").symlink_to("../photos/trip")
    with pytest.raises(click.UsageError, match="no images in empty"):
        find_files(["empty"])
    assert capsys.readouterr().err.splitlines()[1:] == [
        "1 link to a folder is left out: dirlink. To take what is in a folder, name it itself."
    ]
    left_out: list[Path] = []
    (tree / "more" / "trip").symlink_to("../photos/trip")
    (tree / "more" / "all").symlink_to(tree / "photos")
    (tree / "more" / ".hidden").symlink_to(tree / "photos")
    find_files(["more"], left_out=left_out)
    say_left_out(left_out)
    assert capsys.readouterr().err == (
        "2 links to folders are left out: all, trip. To take what is in a folder, name it itself.\n"
    )


def test_links_to_folders_that_are_looked_into_anyway_are_not_said(tree: Path) -> None:
    left_out: list[Path] = []
    (tree / "photos" / "circle").symlink_to(tree)
    (tree / "photos" / "results").symlink_to("out")
    find_files([str(tree)], left_out=left_out)
    assert not [path for path in left_out if path.is_symlink()]
    find_files(["photos/trip", "photos/circle"], leave_out=Path("photos/out"), left_out=left_out)
    assert not [path for path in left_out if path.is_symlink()]


def test_all_that_cannot_be_read_is_named_up_to_a_number(tree: Path) -> None:
    let_others_in(tree)
    for number in range(22):
        (tree / "more" / f"{number:02}").mkdir(mode=0)
    (tree / "more" / "21").chmod(0o711)
    with without_rights(), pytest.raises(click.UsageError) as caught:
        find_files(["photos", "more", "more/00/a.jpg"])
    first, *lines = caught.value.message.splitlines()
    assert first == "23 files or folders cannot be read:"
    assert lines[0] == "  more/00: Permission denied"
    assert lines[19:] == ["  more/19: Permission denied", "  … and 3 more"]
    with without_rights(), pytest.raises(click.UsageError) as caught:
        find_files(["more/00", "photos"])
    assert caught.value.message == "more/00 cannot be read: Permission denied."


@pytest.mark.parametrize(
    ("pattern", "folders"),
    [
        ("photos/**/*.png", ["photos/trip"]),
        ("photos/**", ["photos/trip"]),
        ("photos/*/*.webp", ["photos/trip"]),
        ("photos/trip/*.webp", ["photos/trip"]),
        ("p*", ["photos/trip"]),
        ("photos/*.png", []),
        ("photos/*/c.webp", []),
    ],
)
def test_a_folder_that_a_pattern_cannot_look_into_is_named(
    tree: Path, pattern: str, folders: list[str]
) -> None:
    """Who may pass through a folder, but not list it, finds what he names."""
    let_others_in(tree)
    (tree / "photos" / "trip").chmod(0o711)
    with without_rights():
        try:
            find_files([pattern], leave_out=Path("photos/out"))
        except click.UsageError as exc:
            told = exc.message
        else:
            told = ""
    assert told == "".join(f"{name} cannot be read: Permission denied." for name in folders)


def test_what_is_gone_while_all_are_searched_for_is_as_if_it_had_never_been(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_and_lose(path: Path) -> bool:
        if path.name == "a.png":
            path.unlink()
            shutil.rmtree(tree / "photos" / "trip")
        return True

    monkeypatch.setattr(inputs, "_may_be_image", look_and_lose)
    assert names("photos") == ["b.JPG", "out/a.webp"]


def test_an_out_folder_that_is_a_link_in_a_circle_is_no_reason_to_break_off(tree: Path) -> None:
    """Whoever is to write there says what is wrong with it."""
    (tree / "circle").symlink_to("circle")
    assert names("more", leave_out="circle") == ["a.png"]
    refuse_out_above(Path("more"), Path("circle"))


@pytest.mark.timeout(20)
def test_a_pattern_follows_no_links_in_circles(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There would be more paths than anybody can wait for."""
    for name in ("up", "again"):
        (tree / "photos" / "trip" / name).symlink_to("..")
    assert names("photos/**/*.webp") == ["out/a.webp", "trip/c.webp"]
    assert names("photos/**/trip/**/*.webp") == ["trip/c.webp"]
    for pattern in ("photos/**", "photos/**/", "photos/**/*"):
        found = [name for name in names(pattern) if not name.endswith(".txt")]
        assert found == ["a.png", "b.JPG", "out/a.webp", "trip/c.webp"]
    assert "trip/up/a.png" in names("photos/**/up")
    (tree / "photos" / "other").symlink_to("../more")
    left_out: list[Path] = []
    find_files(["photos/**/*.webp"], left_out=left_out)
    say_left_out(left_out)
    assert "1 link to a folder is left out: other." in capsys.readouterr().err


def test_a_working_directory_that_is_gone_has_no_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(click.UsageError, match="no images in"):
        find_files(["."])


def test_a_link_that_leads_nowhere_stops_no_pattern(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left_out: list[Path] = []
    (tree / "more" / "gone.png").symlink_to("nowhere")
    assert [file.name for file in find_files(["more/*.png"], left_out=left_out)] == ["a.png"]
    say_left_out(left_out)
    assert capsys.readouterr().err == "1 link that leads nowhere is left out: gone.png\n"


@pytest.mark.parametrize("names", [["a\x1b[31m\nb"], ["a\x1b[31m\nb", "\udcff"]])
def test_names_of_what_cannot_be_read_move_no_cursor_and_make_no_lines(
    tree: Path, names: list[str]
) -> None:
    let_others_in(tree)
    for name in names:
        (tree / "empty" / name).mkdir(mode=0)
    with without_rights(), pytest.raises(click.UsageError) as caught:
        find_files(["empty"])
    told = caught.value.message.splitlines()
    assert len(told) == 2 * len(names) - 1
    assert "".join(told).isprintable()


def test_what_is_given_twice_or_by_name_is_not_left_out_twice_or_at_all(tree: Path) -> None:
    left_out: list[Path] = []
    (tree / "photos" / "raw.cr2").write_bytes(b"12345")
    find_files(["photos", "../" + tree.name + "/photos", "photos/raw.cr2"], left_out=left_out)
    assert left_out == [tree / "photos" / "trip" / "notes.txt"]


def test_names_of_what_is_left_out_move_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    say_left_out([Path("\x1b[2Jraw"), Path("a.\x1b]0;x\x07")])
    assert capsys.readouterr().err == "2 files are left out, as no images: [2Jraw, .]0;x\n"


def test_a_folder_with_results_is_not_watched_but_those_below_it_are(tmp_path: Path) -> None:
    (tmp_path / ".imgsvc").mkdir()
    (tmp_path / "incoming").mkdir()
    with pytest.raises(click.UsageError, match="has results of imgsvc"):
        refuse_results(tmp_path)
    refuse_results(tmp_path / "incoming")
