from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from imgsvc.folders.scan import Folder
from imgsvc.folders.watcher import Timing
from tests.folders.watching import Bench, ToldNotices, put
from tests.pictures import make_jpeg, make_png

JPEG = make_jpeg(300, 200)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
async def bench(root: Path) -> Bench:
    """A watcher of an empty folder, past its start."""
    bench = Bench(root)
    assert await bench.look() == []
    assert await bench.look() == []
    return bench


async def test_files_that_were_there_long_before_are_given_out_at_once(root: Path) -> None:
    for name in ("b.jpg", "a.jpg", "d/c.jpg"):
        put(root / name, age_s=3600)
    assert await Bench(root).look() == ["a.jpg", "b.jpg", "d/c.jpg"]


async def test_a_file_that_was_changed_lately_has_to_settle_at_a_start_too(root: Path) -> None:
    put(root / "a.jpg", age_s=1)
    bench = Bench(root)
    assert await bench.look() == []
    assert await bench.look(after_s=2) == ["a.jpg"]


async def test_files_come_in_chunks(root: Path) -> None:
    for number in range(5):
        put(root / f"{number}.jpg", age_s=3600)
    bench = Bench(root, chunk=2)
    assert [await bench.look() for _ in range(4)] == [
        ["0.jpg", "1.jpg"], ["2.jpg", "3.jpg"], ["4.jpg"], [],
    ]  # fmt: skip


async def test_a_file_that_is_told_of_is_given_out_when_it_has_settled(bench: Bench) -> None:
    put(bench.root / "a.jpg")
    assert await bench.settle("a.jpg") == ["a.jpg"]
    assert await bench.settle("a.jpg") == []


async def test_a_file_that_grows_slowly_is_given_out_once_and_whole(bench: Bench) -> None:
    path = bench.root / "a.jpg"
    for end in range(0, len(JPEG), len(JPEG) // 5):
        put(path, JPEG[:end])
        os.utime(path, ns=(0, 10**18 + end))
        assert await bench.settle("a.jpg") == []
    put(path, JPEG)
    assert await bench.settle("a.jpg") == ["a.jpg"]


async def test_what_never_gets_its_end_is_given_out_after_a_minute(bench: Bench) -> None:
    put(bench.root / "a.jpg", JPEG[:-40])
    put(bench.root / "empty.png", b"")
    assert await bench.settle("a.jpg", "empty.png") == []
    assert await bench.look(after_s=59) == []
    assert sorted(await bench.look(after_s=1)) == ["a.jpg", "empty.png"]


async def test_what_is_overwritten_is_given_out_again(bench: Bench) -> None:
    path = put(bench.root / "a.jpg")
    assert await bench.settle("a.jpg") == ["a.jpg"]
    put(path, JPEG)
    assert await bench.settle("a.jpg") == ["a.jpg"]


async def test_what_nobody_told_of_is_found_by_the_next_sweep(bench: Bench) -> None:
    put(bench.root / "d" / "a.jpg")
    assert await bench.look(after_s=200) == []
    assert await bench.look(after_s=100) == []
    assert await bench.look(after_s=2) == ["d/a.jpg"]


async def test_without_notices_the_folder_is_looked_at_every_few_seconds(root: Path) -> None:
    bench = Bench(root, ToldNotices(tells_all=False))
    await bench.look()
    await bench.look()
    put(root / "a.jpg")
    assert await bench.look(after_s=4) == []
    assert await bench.look(after_s=1) == []
    assert await bench.look(after_s=2) == ["a.jpg"]


async def test_looking_takes_no_more_of_a_processor_than_its_share(root: Path) -> None:
    bench = Bench(root, ToldNotices(tells_all=False))
    await bench.look()
    await bench.look()
    bench.watcher._sweep_cpu_s = 0.7
    assert bench.watcher._sweep_due_s() - bench.now_s == pytest.approx(0.7 / Timing().share)


async def test_files_beside_the_images_are_left_alone(bench: Bench) -> None:
    for name in ("notes.txt", "movie.mp4", "Thumbs.db"):
        put(bench.root / name, b"no image at all " * 20)
    assert await bench.settle("notes.txt", "movie.mp4", "Thumbs.db") == []
    assert bench.watcher.restless == 0


async def test_an_image_is_one_by_its_name_or_by_its_bytes(bench: Bench) -> None:
    put(bench.root / "scan0001", make_png())
    put(bench.root / "broken.JPG", b"no image at all " * 20)
    assert sorted(await bench.settle("scan0001", "broken.JPG")) == ["broken.JPG", "scan0001"]


async def test_a_new_folder_is_looked_at_with_all_below_it(bench: Bench) -> None:
    put(bench.root / "d" / "e" / "a.jpg")
    assert await bench.settle("d") == ["d/e/a.jpg"]
    assert bench.notices.covered == {"", "d/", "d/e/"}  # type: ignore[attr-defined]


async def test_what_came_into_a_new_folder_before_it_was_watched_is_found(bench: Bench) -> None:
    (bench.root / "d").mkdir()
    bench.notices.told.add("d")  # type: ignore[attr-defined]
    await bench.look()
    put(bench.root / "d" / "a.jpg")  # nobody tells of it
    assert await bench.look(after_s=0.5) == []
    assert await bench.look(after_s=2) == ["d/a.jpg"]


async def test_results_in_the_folder_are_no_inputs(bench: Bench) -> None:
    put(bench.root / "out" / "a.webp")
    assert await bench.settle("out", "out/a.webp") == []


async def test_what_is_given_back_is_given_out_again(bench: Bench) -> None:
    put(bench.root / "a.jpg")
    assert await bench.settle("a.jpg") == ["a.jpg"]
    del bench.known["a.jpg"]
    bench.watcher.give_back("a.jpg")
    assert await bench.settle() == ["a.jpg"]


async def test_what_its_caller_has_not_taken_yet_is_not_given_out_twice(bench: Bench) -> None:
    put(bench.root / "a.jpg")
    assert await bench.settle("a.jpg") == ["a.jpg"]
    bench.known.clear()
    assert await bench.settle("a.jpg") == []
    assert await bench.settle("") == []


async def test_a_folder_that_vanishes_and_returns_neither_repeats_nor_forgets(
    bench: Bench, tmp_path: Path
) -> None:
    put(bench.root / "a.jpg")
    assert await bench.settle("a.jpg") == ["a.jpg"]
    put(bench.root / "b.jpg", age_s=3600)
    bench.root.rename(tmp_path / "away")
    with capture_logs() as logs:
        assert await bench.settle("") == []
        assert await bench.look(after_s=5) == []
        assert await bench.look(after_s=5) == []
        assert bench.watcher.is_gone
        (tmp_path / "away").rename(bench.root)
        assert await bench.look(after_s=5) == ["b.jpg"]
    assert [log["event"] for log in logs] == ["folder_gone", "folder_is_back"]
    assert not bench.watcher.is_gone


async def test_another_folder_in_its_place_is_looked_at_as_at_a_start(bench: Bench) -> None:
    put(bench.root / "a.jpg")
    assert await bench.settle("a.jpg") == ["a.jpg"]
    shutil.move(bench.root, bench.root.with_name("old"))
    put(bench.root / "b.jpg", age_s=3600)
    assert await bench.look(after_s=1) == []
    assert await bench.look() == ["b.jpg"]


async def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "later")
    assert await bench.look() == []
    assert bench.watcher.is_gone
    put(bench.root / "a.jpg", age_s=3600)
    assert await bench.look(after_s=5) == ["a.jpg"]


async def test_an_unreadable_file_holds_nobody_up_and_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bench.root / "a.jpg")
    put(bench.root / "b.jpg")
    really_open = Folder.open

    def refuse(folder: Folder, sighting: object) -> object:
        if getattr(sighting, "name", "") == "a.jpg":
            raise PermissionError(13, "Permission denied")
        return really_open(folder, sighting)  # type: ignore[arg-type]

    monkeypatch.setattr(Folder, "open", refuse)
    with capture_logs() as logs:
        assert await bench.settle("a.jpg", "b.jpg") == ["b.jpg"]
        assert await bench.look(after_s=5) == []
        assert await bench.look(after_s=5) == []
    assert [log["name"] for log in logs] == ["a.jpg"]
    monkeypatch.undo()
    assert await bench.look(after_s=5) == ["a.jpg"]


async def test_nothing_is_looked_at_before_it_is_due(bench: Bench) -> None:
    assert bench.watcher.rest_s() == 5.0
    put(bench.root / "a.jpg")
    bench.notices.told.add("a.jpg")  # type: ignore[attr-defined]
    await bench.look()
    assert bench.watcher.rest_s() == 2.0


async def test_what_tells_of_changes_is_chosen_by_what_stands_there_then(tmp_path: Path) -> None:
    bench, chosen = Bench(tmp_path / "later"), []

    def choose(folder: Folder) -> ToldNotices:
        chosen.append(folder.root.exists())
        return ToldNotices()

    bench.watcher._choose_notices = choose
    assert await bench.look() == []
    put(bench.root / "a.jpg", age_s=3600)
    assert await bench.look(after_s=5) == ["a.jpg"]
    assert chosen == [False, True]
