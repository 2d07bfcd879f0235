"""Answers of a child on their way through the executor's pipe.

The executor would pickle them. Here each is a line that says which call it answers, and how;
then comes the content, which is JSON or plain text.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Container
from concurrent.futures.process import _ResultItem
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from imgsvc.workers.report import (
    MAX_TRACEBACK,
    Greeting,
    NotUnderstood,
    read_greeting,
    write_greeting,
)

MAX_ANSWER_BYTES = 128 * 1024
"""Of a message in the pipe; ours have a few KiB, and an exception a traceback."""

MAX_REPORT_BYTES = 128 * 1024
"""For each task, of a report in a file. The most variants and warnings need a sixth of it;
the rest is for a traceback.
"""

_HEAD = re.compile(rb"([0-9]{1,18}) (greeting|report|file|no memory|error)\n")


class AnswerQueue(SimpleQueue[Any]):
    """What the executor takes for its queue of results. The child puts in, the parent reads."""

    def __init__(self, *, ctx: BaseContext) -> None:
        super().__init__(ctx=ctx)
        self.guard(())

    def guard(self, calls: Container[int]) -> None:
        """Take only what answers one of these, from now on."""
        _guard(self._reader, calls)  # type: ignore[attr-defined]  # the executor reads from it directly

    def put(self, item: object) -> None:
        """A number says that the process leaves by itself: it does so unsaid."""
        if isinstance(item, _ResultItem):
            message = write_answer(item)
            with self._wlock:  # type: ignore[attr-defined]  # SimpleQueue's own
                self._writer.send_bytes(message)  # type: ignore[attr-defined]


def _guard(reader: Connection[Any, Any], calls: Container[int]) -> None:
    """Make `recv` of the executor's end careful. The executor takes an exception out of it
    for a broken process, which it is: one that says what nobody has asked might never stop.
    """
    source = weakref.proxy(reader)  # or it would hold itself, and its descriptor, for long

    def receive() -> _ResultItem:
        answer = read_answer(source.recv_bytes(MAX_ANSWER_BYTES))
        if answer.work_id not in calls:
            raise NotUnderstood("a worker answers what nobody has asked")
        return answer

    setattr(reader, "recv", receive)  # noqa: B010 - a method gives way to a function


def write_answer(item: _ResultItem) -> bytes:
    kind, content = _write_exception(item.exception) if item.exception else _write(item.result)
    return f"{item.work_id} {kind}\n".encode() + content


def _write(result: object) -> tuple[str, bytes]:
    """Raises TypeError for what is no answer of ours."""
    match result:
        case Greeting():
            return "greeting", write_greeting(result)
        case bytes():
            return "report", result
        case None:
            return "file", b""
    raise TypeError(f"{type(result).__name__} is no answer")


def _write_exception(exception: Any) -> tuple[str, bytes]:
    """The executor has wrapped it together with its traceback."""
    kind = "no memory" if isinstance(exception.exc, MemoryError) else "error"
    return kind, exception.tb[-MAX_TRACEBACK:].encode(errors="backslashreplace")


def read_answer(data: bytes) -> _ResultItem:
    """As the executor wants it. A result is a Greeting, a report in JSON, or None when that
    stands in a file. Raises NotUnderstood.
    """
    head = _HEAD.match(data)
    if head is None:
        raise NotUnderstood("a worker says what cannot be read")
    call, content = int(head[1]), data[head.end() :]
    match head[2]:
        case b"greeting":
            return _ResultItem(call, result=read_greeting(content))
        case b"report":
            return _ResultItem(call, result=content)
        case b"file":
            return _ResultItem(call)
        case b"no memory":
            return _ResultItem(call, exception=MemoryError(content.decode(errors="replace")))
    return _ResultItem(call, exception=RuntimeError(content.decode(errors="replace")))


def read_file(path: Path, tasks: int) -> bytes:
    """A report of so many tasks that did not fit the pipe; the file is removed. Raises OSError
    and NotUnderstood.
    """
    most_bytes = MAX_REPORT_BYTES * tasks
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    path.unlink()
    if len(data) > most_bytes:
        raise NotUnderstood("a report that is too large")
    return data
