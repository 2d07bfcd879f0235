"""Receivers take turns, and none has more than its share."""

from __future__ import annotations

from imgsvc.domain.ids import new_id
from imgsvc.domain.webhook import Delivery, DeliveryState, WebhookEvent
from imgsvc.webhooks.lanes import Lanes


def due(receiver: str, next_at: int = 0) -> Delivery:
    return Delivery(
        new_id(), new_id(), WebhookEvent.JOB_FINISHED, receiver, DeliveryState.PENDING, 0, next_at,
        None, None, 0, None,
    )  # fmt: skip


def test_a_receiver_takes_no_more_than_its_share_at_once() -> None:
    lanes = Lanes(per_receiver=2, in_all=9)
    first, second, third = due("a"), due("a"), due("a")
    assert lanes.enter([first]) == [first]
    assert lanes.enter([second]) == [second]
    assert lanes.enter([third]) == []
    assert set(lanes.running) == {first.id, second.id}
    lanes.leave(first)
    assert lanes.enter([third]) == [third]


def test_all_receivers_together_take_no_more_than_there_is() -> None:
    lanes = Lanes(per_receiver=2, in_all=3)
    entered = lanes.enter([due(f"r{n}", n) for n in range(9)])
    assert [delivery.receiver for delivery in entered] == ["r0", "r1", "r2"]
    assert lanes.enter([due("r9")]) == []


def test_whose_turn_was_the_longest_ago_goes_first_however_long_others_wait() -> None:
    lanes = Lanes(per_receiver=1, in_all=1)
    served = []
    for _ in range(4):
        (delivery,) = lanes.enter([due("dead", 1), due("alive", 2)])
        served.append(delivery.receiver)
        lanes.leave(delivery)
    assert served == ["dead", "alive", "dead", "alive"]


def test_nothing_is_kept_of_receivers_that_have_nothing_to_take() -> None:
    lanes = Lanes()
    for number in range(100):
        for delivery in lanes.enter([due(f"r{number}")]):
            lanes.leave(delivery)
    lanes.enter([])
    assert lanes._turns == {}
    assert not lanes._busy
