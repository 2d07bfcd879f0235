"""When all images of a job that is followed are looked at."""

from __future__ import annotations

from typing import Any

import pytest

from imgsvc.client.watching.looks import IMAGES_PER_S, Looks


def message(
    kind: str = "snapshot", *, seq: int | None = None, total: int = 3, **counts: int
) -> dict[str, Any]:
    job = {"total": total, "completed": 0, "failed": 0, "cancelled": 0, **counts}
    return {"type": kind, "seq": seq, "job": job}


@pytest.fixture
def looks() -> Looks:
    """One was made when one image was completed and another had failed, of three, at 100 s."""
    looks = Looks()
    looks.note(message(completed=1, failed=1)["job"], 100.0)
    return looks


def test_the_first_one_is_due_whatever_came_of_the_job_before() -> None:
    assert Looks().is_due(message(), 0.0)


def test_none_is_due_while_the_same_ones_are_final(looks: Looks) -> None:
    assert not looks.is_due(message(completed=1, failed=1), 1_000.0)


@pytest.mark.parametrize(("completed", "failed", "cancelled"), [(2, 1, 0), (2, 0, 0), (1, 0, 1)])
def test_one_is_due_when_others_are(
    looks: Looks, completed: int, failed: int, cancelled: int
) -> None:
    """Also when as many are: one that had failed may have been tried again."""
    look = message(completed=completed, failed=failed, cancelled=cancelled)
    assert looks.is_due(look, 101.0)


def test_of_many_images_it_is_not_due_at_once() -> None:
    looks, total = Looks(), 60 * IMAGES_PER_S
    looks.note(message(total=total)["job"], 100.0)
    assert not looks.is_due(message(total=total, completed=1), 159.9)
    assert looks.is_due(message(total=total, completed=1), 160.0)


def test_at_the_end_it_is_due_whatever_was_before(looks: Looks) -> None:
    assert looks.is_due(message("end", completed=1, failed=1), 100.0)


def test_with_a_websocket_it_is_due_for_every_new_connection_and_no_more(looks: Looks) -> None:
    """In between each image has a message of its own."""
    assert looks.is_due(message(seq=7, completed=1, failed=1), 100.0)
    assert not looks.is_due(message("job", seq=8, completed=2, failed=1), 1_000.0)
