"""What `imgsvc watch` says: each file once, each trouble once, and how things stand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Protocol

from imgsvc.cli.output import count_text, json_text
from imgsvc.cli.status_line import StatusLine
from imgsvc.cli.waiting import waiting_text
from imgsvc.client import ApiError, ClientError, LocalFileError
from imgsvc.client.watching.entries import Failure
from imgsvc.client.watching.out_folder import OutFolder
from imgsvc.client.watching.outcome import Outcome
from imgsvc.client.watching.watch import Progress
from imgsvc.folders.failure_list import LIST_IS_TAKEN, ListedFailure, write_failures

TICK_S = 0.25
REMINDER_S = 60.0
"""What comes and goes, such as a full queue or a full disk, is spoken of no more often."""


class Watch(Protocol):
    """What goes on until it is stopped."""

    @property
    def progress(self) -> Progress: ...


class Reporter:
    """as_json: a line of JSON for each file, to stdout; otherwise lines of text to stderr, of
    failures alone where a live line is shown.

    watch: whose progress is shown; out: where failures are listed. None while there is none.
    """

    watch: Watch | None = None
    out: OutFolder | None = None

    def __init__(self, line: StatusLine, *, as_json: bool) -> None:
        self._line = line
        self._as_json = as_json
        self._is_server_away = False
        self._is_disk_away = False
        self._has_said_disk = False
        self._said_s: dict[str, float] = {}

    def tell_outcome(self, outcome: Outcome) -> None:
        if self._as_json:
            self._line.put(json_text(_document(outcome)))
        elif outcome.failure is not None:
            self._line.say(f"failed  {outcome.name}: {_reason(outcome.failure)}")
        elif not self._line.is_shown:
            self._line.say(f"done    {outcome.name}")

    def list_failures(self, failures: Mapping[str, Failure]) -> None:
        """Beside the results. Blocking. Raises LocalFileError."""
        if self.out is None:
            return
        self.out.check()
        listed = [
            ListedFailure(name, failure.code, failure.message, failure.at_ms)
            for name, failure in sorted(failures.items())
        ]
        try:
            is_written = write_failures(self.out.root, listed)
        except OSError as exc:
            raise LocalFileError(self.out.root, exc.strerror or "it cannot be written") from exc
        if not is_written and self._is_news("list"):
            self._line.say(f"{LIST_IS_TAKEN} Failures are not listed.")

    def tell_server_trouble(self, error: ClientError) -> None:
        if isinstance(error, ApiError):
            if self._is_news(error.code):
                self._line.say(waiting_text(error))
        elif not self._is_server_away:
            self._is_server_away = True
            self._line.say(waiting_text(error))

    def tell_server_well(self) -> None:
        if self._is_server_away:
            self._is_server_away = False
            self._line.say("The server answers.")

    def tell_disk_trouble(self, error: LocalFileError) -> None:
        self._is_disk_away = True
        if self._is_news(f"disk: {error.reason}"):
            self._has_said_disk = True
            self._line.say(f"{error.message}. Waiting until that is over.")

    def tell_disk_well(self) -> None:
        self._is_disk_away = False
        if self._has_said_disk:
            self._has_said_disk = False
            self._line.say("Files can be written again.")

    def _is_news(self, trouble: str) -> bool:
        said_s = self._said_s.get(trouble)
        if said_s is not None and monotonic() - said_s < REMINDER_S:
            return False
        self._said_s[trouble] = monotonic()
        return True

    @property
    def progress(self) -> Progress:
        return self.watch.progress if self.watch else Progress()

    @asynccontextmanager
    async def showing(self, what: str) -> AsyncIterator[None]:
        """Show how things stand, where there is a terminal."""
        task = asyncio.create_task(self._show(what), name="watch-status")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._line.close()

    async def _show(self, what: str) -> None:
        while self._line.is_shown:
            self._line.show(f"{self._describe(self.progress)} - {what}")
            await asyncio.sleep(TICK_S)

    def _describe(self, progress: Progress) -> str:
        words = f"{progress.done} done, {progress.failed} failed, {progress.waiting} waiting"
        if self._is_server_away:
            words += "; the server is away"
        if self._is_disk_away:
            words += "; nothing can be saved"
        return f"{words}; the folder is gone" if progress.is_gone else words


def sum_up(progress: Progress) -> str:
    """What is said at the end."""
    words = [f"{count_text(progress.done, 'image')} done"]
    if progress.failed:
        words.append(f"{progress.failed} failed")
    if progress.waiting:
        words.append(f"{progress.waiting} waiting")
    return ", ".join(words)


def _reason(failure: Failure) -> str:
    return f"{failure.message} ({failure.code})"


def _document(outcome: Outcome) -> dict[str, Any]:
    failure = outcome.failure
    return {
        "name": outcome.name,
        "status": "failed" if failure else "completed",
        "job_id": outcome.job_id,
        "index": outcome.index,
        "error": {"code": failure.code, "message": failure.message} if failure else None,
        "outputs": outcome.outputs,
    }
