"""When a file has stopped changing: it looked the same at two looks that were far enough apart.

Times are seconds of a monotonic clock of this machine. What a file says of its own time is
only compared with what it said before, so the clock of a file server does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from imgsvc.folders.scan import Sighting


@dataclass(frozen=True, slots=True)
class Settled:
    """has_waited: its end was missing, and has been waited for long enough."""

    sighting: Sighting
    has_waited: bool = False


@dataclass(slots=True)
class _Restless:
    """seen_s: the last look that found it so. due_s: it is settled if it still is so then."""

    sighting: Sighting
    seen_s: float
    due_s: float
    waits: bool = False


class Settling:
    """Files that may still be changing.

    settle_s: how long a file must look the same. patience_s: the same for one whose end is
    missing; then it is taken as it is.
    """

    def __init__(self, *, settle_s: float, patience_s: float) -> None:
        self._settle_s = settle_s
        self._patience_s = patience_s
        self._restless: dict[str, _Restless] = {}

    def __len__(self) -> int:
        return len(self._restless)

    def __contains__(self, name: str) -> bool:
        return name in self._restless

    def __iter__(self) -> Iterator[str]:
        return iter(self._restless)

    def see(self, sighting: Sighting, now_s: float, *, is_old: bool = False) -> None:
        """A look has found the file. is_old: it need not be watched at all."""
        known = self._restless.get(sighting.name)
        if known is None or known.sighting.fingerprint != sighting.fingerprint:
            due_s = now_s if is_old else now_s + self._settle_s
            self._restless[sighting.name] = _Restless(sighting, now_s, due_s)
        else:
            known.seen_s = now_s

    def forget(self, names: Iterable[str]) -> None:
        """Files that are gone, or need no more watching."""
        for name in names:
            self._restless.pop(name, None)

    def due(self, now_s: float) -> list[str]:
        """Names that are to be looked at again by now."""
        return [name for name, one in self._restless.items() if one.due_s <= now_s]

    def next_due_s(self) -> float | None:
        """When the next one is; None when nothing is restless."""
        return min((one.due_s for one in self._restless.values()), default=None)

    def take_settled(self) -> list[Settled]:
        """Files that were seen unchanged when they were due; they are restless no more."""
        settled = [one for one in self._restless.values() if one.seen_s >= one.due_s]
        self.forget([one.sighting.name for one in settled])
        return [Settled(one.sighting, one.waits) for one in settled]

    def hold(self, sighting: Sighting, now_s: float) -> None:
        """A settled file's end is missing: wait for it, counted from now."""
        due_s = now_s + self._patience_s
        self._restless[sighting.name] = _Restless(sighting, now_s, due_s, waits=True)

    def postpone(self, settled: Settled, now_s: float, due_s: float) -> None:
        """A settled file cannot be taken yet; it is settled again at `due_s` if it stays so."""
        name = settled.sighting.name
        self._restless[name] = _Restless(settled.sighting, now_s, due_s, settled.has_waited)
