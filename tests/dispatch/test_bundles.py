"""How many images travel together."""

from __future__ import annotations

from imgsvc.dispatch.bundles import MAX_BYTES, MAX_IMAGES, Pace, split_bundles
from imgsvc.dispatch.pieces import Piece
from imgsvc.domain.image import Image
from imgsvc.domain.rendering import Failure
from imgsvc.domain.retries import MAX_INNOCENT, SUSPECT_AFTER
from imgsvc.errors import ImageErrorCode
from tests.factories import make_image


def _pieces(images: list[Image]) -> list[Piece]:
    return [Piece(image, "{}", "{}") for image in images]


def test_nothing_known_means_one_at_a_time() -> None:
    assert Pace().bundle_size("job") == 1


def test_quick_images_travel_together_up_to_the_limit() -> None:
    pace = Pace()
    pace.learn("job", 0.4)
    assert pace.bundle_size("job") == MAX_IMAGES


def test_thumbnails_travel_in_small_groups() -> None:
    pace = Pace()
    pace.learn("job", 25)
    assert pace.bundle_size("job") == 4


def test_slow_images_travel_alone() -> None:
    pace = Pace()
    pace.learn("job", 150)
    assert pace.bundle_size("job") == 1


def test_the_pace_follows_what_is_seen() -> None:
    pace = Pace()
    pace.learn("job", 1)
    for _ in range(30):
        pace.learn("job", 200)
    assert pace.bundle_size("job") == 1


def test_images_are_cut_in_order() -> None:
    images = [make_image(index=n, size_bytes=10) for n in range(7)]
    bundles = split_bundles(_pieces(images), 3)
    assert [[p.image.index for p in bundle] for bundle in bundles] == [
        [0, 1, 2],
        [3, 4, 5],
        [6],
    ]


def test_a_bundle_never_holds_more_bytes_than_allowed() -> None:
    images = [make_image(size_bytes=MAX_BYTES // 2) for _ in range(4)]
    assert [len(bundle) for bundle in split_bundles(_pieces(images), 8)] == [2, 2]


def test_a_big_image_travels_alone() -> None:
    images = [make_image(size_bytes=size) for size in (10, MAX_BYTES * 2, 10)]
    assert [len(bundle) for bundle in split_bundles(_pieces(images), 8)] == [1, 1, 1]


def test_an_image_that_failed_before_travels_alone() -> None:
    failure = Failure(ImageErrorCode.WORKER_CRASHED, "")
    images = [make_image(), make_image(last_error=failure), make_image(), make_image()]
    assert [len(bundle) for bundle in split_bundles(_pieces(images), 8)] == [1, 1, 2]


def test_an_image_that_may_be_what_the_server_dies_of_travels_alone() -> None:
    images = [make_image(interruptions=n) for n in (1, SUSPECT_AFTER, 1, 1)]
    assert [len(bundle) for bundle in split_bundles(_pieces(images), 8)] == [1, 1, 2]


def test_an_image_known_to_need_memory_travels_alone() -> None:
    images = [make_image(memory_bytes=1 << 30), make_image(), make_image()]
    assert [len(bundle) for bundle in split_bundles(_pieces(images), 8)] == [1, 2]


def test_an_image_that_came_to_nothing_again_and_again_travels_alone() -> None:
    images = [make_image(size_bytes=10, claim=claim) for claim in (1, MAX_INNOCENT + 1, 1)]
    assert [len(bundle) for bundle in split_bundles(_pieces(images), 8)] == [1, 1, 1]
