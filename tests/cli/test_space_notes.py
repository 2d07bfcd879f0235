"""That images wait for space is said once, however small ones get on meanwhile."""

from __future__ import annotations

from pathlib import Path

from imgsvc.cli.space_notes import saying_space_notes
from imgsvc.store.full_disk import FullDisk
from imgsvc.telemetry.logs import configure_logs

WAITING = "out: No space. Waiting until that is over."
OVER = "Files can be written again."


async def test_small_images_that_find_room_between_the_tries_of_a_large_one_are_no_news() -> None:
    said: list[str] = []
    configure_logs("info", "console")
    images = FullDisk("images")
    with saying_space_notes(said.append, Path("out")):
        for _ in range(3):
            images.note("No space.")
            images.note(None)
        assert said == [WAITING]
    assert said == [WAITING, OVER]


async def test_it_is_over_when_nothing_waits_any_more() -> None:
    said: list[str] = []
    configure_logs("info", "console")
    images, results = FullDisk("images"), FullDisk("results")
    with saying_space_notes(said.append, Path("out")):
        FullDisk("ballast").note("No space.")
        assert said == []
        images.note("No space.")
        results.note("No space.")
        images.note(None)
    assert said == [WAITING]


async def test_a_reader_who_has_gone_does_not_end_the_work() -> None:
    def say(_: str) -> None:
        raise BrokenPipeError

    configure_logs("info", "console")
    images = FullDisk("images")
    with saying_space_notes(say, Path("out")):
        images.note("No space.")
        images.note(None)
