"""What follows on a try to deliver: decided here, carried out elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from imgsvc.domain.webhook import Attempt, DeliveryError, DeliveryState

_MINUTE_S = 60.0
_HOUR_S = 3600.0

DELAYS_S = (
    5.0,
    5 * _MINUTE_S,
    30 * _MINUTE_S,
    2 * _HOUR_S,
    5 * _HOUR_S,
    10 * _HOUR_S,
    14 * _HOUR_S,
    20 * _HOUR_S,
    24 * _HOUR_S,
)
"""After each try; the last one for all that follow. As Standard Webhooks suggests."""

MAX_RETRY_AFTER_S = 24 * _HOUR_S
"""A receiver that wants more patience than this is asked again earlier."""

_SPREAD = 0.2

LONGEST_DELAY_S = max(*DELAYS_S, MAX_RETRY_AFTER_S) * (1 + _SPREAD)
"""No message waits longer for its next try."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of sending a message.

    status: None where there was no answer. error: None when the receiver has taken it.
    retry_after_s: what the receiver asked for.
    """

    status: int | None
    error: DeliveryError | None = None
    retry_after_s: float | None = None


def judge_status(status: int) -> DeliveryError | None:
    """None for what says that the message was taken; redirects are not followed."""
    if 200 <= status < 300:
        return None
    if status == 410:
        return DeliveryError.GONE
    return DeliveryError.REDIRECTED if 300 <= status < 400 else DeliveryError.HTTP_STATUS


def decide_next(
    answer: Answer, tries: int, *, max_tries: int, now_ms: int, chance: float
) -> Attempt:
    """tries: how many there were, this one among them. chance: from 0 to 1, spreads them."""
    if answer.error is None:
        return Attempt(DeliveryState.DELIVERED, answer.status)
    if answer.error is DeliveryError.GONE:
        return Attempt(DeliveryState.DISABLED, answer.status, answer.error)
    if answer.error is DeliveryError.BLOCKED or tries >= max_tries:
        return Attempt(DeliveryState.FAILED, answer.status, answer.error)
    next_at = now_ms + round(_delay_s(answer, tries, chance) * 1000)
    return Attempt(DeliveryState.PENDING, answer.status, answer.error, next_at)


def _delay_s(answer: Answer, tries: int, chance: float) -> float:
    """As planned or as long as the receiver asked for, and up to a fifth more."""
    planned_s = DELAYS_S[min(tries, len(DELAYS_S)) - 1]
    asked_s = min(answer.retry_after_s or 0.0, MAX_RETRY_AFTER_S)
    return max(planned_s, asked_s) * (1 + chance * _SPREAD)
