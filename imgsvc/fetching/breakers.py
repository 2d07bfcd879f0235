"""Circuit breakers: a host that keeps failing is left alone for a while.

From its first failure on one image at a time tries the host, until it answers. After many in a row
no new image asks it, at first for a few seconds. Then a single one tries it: if that fails too, it
is left alone for twice as long, and so on. Bookkeeping, no I/O.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from imgsvc.domain.rendering import Failure
from imgsvc.domain.times import now_ms, rfc3339
from imgsvc.errors import ImageErrorCode
from imgsvc.fetching.unfetched import Unfetched

FAILURES = 30
"""So many in a row, in however short a time: three tries of ten images."""

LASTING_FAILURES = 10
LASTING_S = 10.0
"""Or fewer, of a host that fails for so long: longer than it takes an image to have three tries
where all are refused at once. A few bad links are no reason to let the good ones wait.
"""

FIRST_PAUSE_S = 5
LONGEST_PAUSE_S = 300
FORGOTTEN_AFTER_S = 3600
"""Failures of a host that has not been asked for so long say nothing any more."""

MAX_REMEMBERED = 10_000
"""Hosts of which failures are known: those that failed last."""


@dataclass(slots=True)
class _Record:
    """failures: in a row. began_ms: when the first of them was. since_ms: when it was first left
    alone. until_ms: when the host may be asked again; 0 while it may be.
    """

    began_ms: int
    failures: int = 0
    pause_s: int = 0
    since_ms: int = 0
    until_ms: int = 0
    noted_ms: int = 0


class Breakers:
    """clock: milliseconds since 1970.

    back_early: hosts that may be asked again before it was time, and until when images wait for
    them. Who has let these go takes the host out.
    """

    def __init__(self, clock: Callable[[], int] = now_ms) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self.back_early: deque[tuple[str, int]] = deque()

    def check(self, host: str) -> None:
        """Raises Unfetched while the host is left alone."""
        record = self._records.get(host)
        if record is not None and self._clock() < record.until_ms:
            raise Unfetched(
                Failure(
                    ImageErrorCode.FETCH_FAILED,
                    f"The host {host} failed {record.failures} times in a row and is left "
                    f"alone until {rfc3339(record.until_ms)}.",
                ),
                passes=True,
                left_alone_since_ms=record.since_ms,
            )

    @property
    def left_alone(self) -> int:
        """How many hosts are, at the moment."""
        now = self._clock()
        return sum(now < record.until_ms for record in self._records.values())

    def until_ms(self, host: str) -> int:
        """Until when the host is left alone; 0 when it is not. No longer from now than its pause,
        also while the clock was set back and `move` is still to come.
        """
        record, now = self._records.get(host), self._clock()
        if record is None or now >= record.until_ms:
            return 0
        return min(record.until_ms, now + record.pause_s * 1000)

    def is_on_trial(self, host: str) -> bool:
        """Whether its last try failed, and one image at a time shall try it: a host that is
        silent lets each of them wait for as long as it may.
        """
        record = self._records.get(host)
        return record is not None and record.until_ms <= self._clock()

    def note_failure(self, host: str) -> float | None:
        """For how many seconds the host is left alone from now on; None when it is not, or
        was already.
        """
        self._forget_old()
        now = self._clock()
        record = self._records.setdefault(host, _Record(began_ms=now))
        self._records.move_to_end(host)
        if len(self._records) > MAX_REMEMBERED:
            self._records.popitem(last=False)
        record.noted_ms = now
        if now < record.until_ms:  # asked before it was left alone
            return None
        record.failures += 1
        is_lasting = now - record.began_ms >= LASTING_S * 1000
        if record.failures < (LASTING_FAILURES if is_lasting else FAILURES):
            return None
        record.since_ms = record.since_ms or now
        record.pause_s = min(2 * record.pause_s or FIRST_PAUSE_S, LONGEST_PAUSE_S)
        record.until_ms = now + record.pause_s * 1000
        return float(record.pause_s)

    def note_answer(self, host: str) -> bool:
        """The host has answered as hosts do; whether it had been left alone before."""
        record = self._records.pop(host, None)
        if record is None or not record.until_ms:
            return False
        if self._clock() < record.until_ms:
            self.back_early.append((host, record.until_ms))
        return True

    def end_pauses(self, hosts: Iterable[str]) -> None:
        """Whoever tries anew by hand may know that a host is back: one image asks each of them, of
        those that failed just now when the first pause would be over. Whatever waits for one of
        them, also where its pause is over, counts as waiting from now on.
        """
        now = self._clock()
        for host in hosts:
            record = self._records.get(host)
            if record is None or not record.until_ms:
                continue
            record.since_ms = now  # who is tried anew has not waited yet
            until_ms = max(now, record.noted_ms + FIRST_PAUSE_S * 1000)
            if until_ms < record.until_ms:
                self.back_early.append((host, record.until_ms))
                record.until_ms = until_ms

    def move(self, by_ms: int) -> None:
        """The clock was set by so much: nobody is left alone for longer, or for less."""
        for record in self._records.values():
            record.began_ms += by_ms
            record.noted_ms += by_ms
            if record.until_ms:
                record.since_ms += by_ms
                record.until_ms += by_ms
        self.back_early = deque((host, until_ms + by_ms) for host, until_ms in self.back_early)

    def _forget_old(self) -> None:
        oldest_ms = self._clock() - FORGOTTEN_AFTER_S * 1000
        while self._records:
            host, record = next(iter(self._records.items()))
            if record.noted_ms >= oldest_ms:
                return
            del self._records[host]
