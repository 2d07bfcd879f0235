"""The short way of `make hostile`: a few hundred hostile files against a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.bombs import make_bombs
from tests.hostile.flood import flood
from tests.hostile.gauge import Holdings
from tests.hostile.heavy import make_heavy
from tests.hostile.mutator import mutate
from tests.hostile.originals import make_good, make_originals
from tests.hostile.siege import Report, Terms, lay_siege


def test_every_hostile_file_ends_in_time_and_good_images_among_them_come_out_right(
    tmp_path: Path,
) -> None:
    terms = Terms(timeout_s=20, workers=2, evidence=tmp_path / "evidence")
    report = lay_siege(tmp_path, mutate(make_originals(), 150, 7), make_good(), terms)
    assert report.faults == []
    assert report.files == 150
    assert report.good >= 4 * 8
    assert report.endings["completed"] > 20
    assert report.endings["corrupt_image"] > 40


def test_a_flood_of_large_pictures_stays_within_the_budget_and_is_finished(tmp_path: Path) -> None:
    kinds = ("jpeg-progressive", "png-interlaced", "webp-lossless", "tiff-tiled")
    files = make_heavy(tmp_path, 2400, kinds)
    result = flood(tmp_path, files, copies=2, budget_bytes=96 << 20, workers=2)
    assert list(result.find_faults()) == []


def test_a_picture_that_needs_more_than_all_workers_share_is_refused_for_it(
    tmp_path: Path,
) -> None:
    files = make_heavy(tmp_path, 2500, ("png-interlaced", "jpeg"))
    result = flood(tmp_path, files, copies=1, budget_bytes=48 << 20, workers=2)
    assert list(result.find_faults(frozenset({"png-interlaced"}))) == []


def test_a_webp_of_too_many_pixels_is_no_matter_of_memory(tmp_path: Path) -> None:
    """Of which the whole canvas is reserved with the header."""
    path = tmp_path / "largest.webp"
    path.write_bytes(next(b.data for b in make_bombs() if b.name == "bomb-webp-lossy-size"))
    result = flood(tmp_path, {"largest": path}, copies=1, budget_bytes=48 << 20, workers=2)
    assert result.endings == {"largest": {"too_many_pixels": 1}}


@pytest.mark.parametrize(
    ("grown", "told"),
    [
        ({}, []),
        ({"server_bytes": 180 << 20}, ["memory of the server"]),
        ({"worker_bytes": 220 << 20}, ["memory of a worker"]),
        ({"server_handles": 60}, ["handles of the server"]),
        ({"worker_handles": 60}, ["handles of a worker"]),
    ],
)
def test_whatever_grows_is_a_fault(grown: dict[str, int], told: list[str]) -> None:
    before = Holdings(
        server_bytes=80 << 20, server_handles=40, server_threads=20, workers=2,
        workers_bytes=150 << 20, worker_bytes=80 << 20, worker_handles=20,
    )  # fmt: skip
    report = Report(holdings=[before, before, before._replace(**grown)])
    assert [fault.partition(":")[0] for fault in report.faults] == told
