"""What the engine notes of a full disk, as sentences for a person."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from imgsvc.domain.retries import STORAGE_DELAY_S

SETTLED_S = 3 * STORAGE_DELAY_S
"""Small images find room between the tries of a large one, which still waits."""

_IMAGES = frozenset({"claims of images", "images", "results"})
"""Which waiting holds images up; upkeep that waits is nobody's concern."""


@contextmanager
def saying_space_notes(say: Callable[[str], None], folder: Path) -> Iterator[None]:
    """Have it said once when images begin to wait for space, and once when none waits any more.

    folder: on the disk. The log has to take what is of level info.
    """
    sayer = _Sayer(say, folder)
    logging.getLogger().addHandler(sayer)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(sayer)
        sayer.settle()


class _Sayer(logging.Handler):
    def __init__(self, say: Callable[[str], None], folder: Path) -> None:
        super().__init__()
        self._say = say
        self._folder = folder
        self._waiting: set[str] = set()
        self._has_said = False
        self._settling: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        facts = record.msg
        if not isinstance(facts, Mapping) or facts.get("what") not in _IMAGES:
            return
        if facts["event"] == "storage_full":
            self._begin(facts["what"], facts["reason"])
        elif facts["event"] == "storage_has_room":
            self._end(facts["what"])

    def _begin(self, what: str, reason: str) -> None:
        self._waiting.add(what)
        if self._settling is not None:
            self._settling.cancel()
        if not self._has_said:
            self._has_said = True
            self._tell(f"{self._folder}: {reason} Waiting until that is over.")

    def _end(self, what: str) -> None:
        self._waiting.discard(what)
        if not self._waiting:
            self._settling = asyncio.get_running_loop().call_later(SETTLED_S, self.settle)

    def settle(self) -> None:
        """All is well, if nothing waits."""
        if self._settling is not None:
            self._settling.cancel()
        if self._has_said and not self._waiting:
            self._has_said = False
            self._tell("Files can be written again.")

    def _tell(self, sentence: str) -> None:
        """The engine, in whose midst this is, does not end for a reader who has gone."""
        with suppress(OSError):
            self._say(sentence)
