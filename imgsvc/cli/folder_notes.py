"""What the watching of a folder notes, as sentences for a person."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from imgsvc.domain.names import without_controls
from imgsvc.telemetry.logs import configure_logs

_SENTENCES = {
    "unreadable": "{name} cannot be read and is tried again later: {reason}",
    "link_leads_out": "{name} is a link that leads out of {folder}: it is left alone.",
    "has_results": "{name} has results of imgsvc: it is left alone.",
    "folder_gone": "{folder} is gone and is waited for: {reason}",
    "folder_is_back": "{folder} is there again.",
    "results_restored": "{folder} was made anew. Images whose results were saved again: {count}.",
    "results_lost": "Images whose results the server has no more: {count}. "
    "Touch them to have them made again.",
    "folder_is_polled": "The system does not tell what changes in {folder}. So all of it is looked "
    "at every few seconds; nothing is missed. ({reason})",
}


def say_folder_notes(say: Callable[[str], None]) -> None:
    """Have notes said instead of logged. Of the rest only errors are logged: what a command dies
    of it says itself.
    """
    configure_logs("info", "console")
    root = logging.getLogger()
    for handler in root.handlers:
        handler.setLevel(logging.ERROR)
        handler.addFilter(lambda record: record.levelno < logging.CRITICAL)
    root.addHandler(_Sayer(say))


class _Sayer(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        facts = record.msg
        if isinstance(facts, Mapping) and facts.get("event") in _SENTENCES:
            words = {key: without_controls(str(value)) for key, value in facts.items()}
            self._say(_SENTENCES[words["event"]].format_map(words))
