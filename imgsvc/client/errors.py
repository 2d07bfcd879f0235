"""What can go wrong for a client.

ClientError
├── ServerUnreachable     nobody answers, or the connection broke, or it is no imgsvc
├── ApiError              the server refused; `code` is stable (see the API's errors)
├── LocalFileError        a file here cannot be read or written
│   ├── FilesUnreadable   several files cannot be read
│   └── ResultsUnsaved    files of a job cannot stand where they belong
├── ResultsLost           files of a job are not there any more as they were made
└── JournalBusy           another process is at this submission
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imgsvc.domain.logins import without_login
from imgsvc.domain.names import without_controls
from imgsvc.errors import Fault, ImgsvcError

if TYPE_CHECKING:
    from imgsvc.client.download import Downloaded


class ClientError(ImgsvcError):
    """Root of what the client raises."""


class ServerUnreachable(ClientError):
    """No answer came from `server`."""

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"No imgsvc server answers at {without_login(server)}: {reason}")
        self.server = server
        self.reason = reason


class ApiError(ClientError):
    """The server answered with a problem.

    code: stable name of the problem; `http_<status>` when the answer does not carry one.
    errors: the wrong places of the request, if the server named them.
    retry_after_s: None when the server did not say when to try again.
    """

    def __init__(
        self,
        code: str,
        status: int,
        detail: str,
        errors: Sequence[Fault] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s


class LocalFileError(ClientError):
    """A file or folder of this machine cannot be read or written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(without_controls(f"{path}: {reason}"))
        self.path = path
        self.reason = reason


class FilesUnreadable(LocalFileError):
    """Files of this machine cannot be read; `path` and `reason` are of the first.

    troubles: of each, in their order; the message has the first MAX_NAMED.
    """

    MAX_NAMED = 20

    def __init__(self, troubles: Sequence[LocalFileError]) -> None:
        lines = [f"{len(troubles)} files cannot be read:"]
        lines += [f"  {trouble.message}" for trouble in troubles[: self.MAX_NAMED]]
        if len(troubles) > self.MAX_NAMED:
            lines.append(f"  … and {len(troubles) - self.MAX_NAMED} more")
        ClientError.__init__(self, "\n".join(lines))
        self.path = troubles[0].path
        self.reason = troubles[0].reason
        self.troubles = tuple(troubles)


class ResultsUnsaved(LocalFileError):
    """Something is in the way of results in the folder for them; all others were saved, but for
    those that are lost.

    done: how the download ended, with their names in `unsaved`. `path` and `reason` are of the
    first.
    """

    def __init__(self, root: Path, done: Downloaded) -> None:
        target, reason = next(iter(done.unsaved.items()))
        super().__init__(root / target, reason)
        self.done = done


class ResultsLost(ClientError):
    """The server does not have all files any more as it made them; all others were saved.

    done: how the download ended, with their names in `lost`.
    """

    def __init__(self, done: Downloaded) -> None:
        noun = "file is" if len(done.lost) == 1 else "files are"
        super().__init__(f"{len(done.lost)} {noun} lost or damaged on the server.")
        self.done = done


class JournalBusy(ClientError):
    """Another process has the journal open."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is in use: another process is sending the same images.")
        self.path = path


@contextmanager
def passing_over_gone() -> Iterator[None]:
    """What is asked of a job that is not there any more is left undone."""
    try:
        yield
    except ApiError as exc:
        if exc.code != "not_found":
            raise


@contextmanager
def translating(path: Path) -> Iterator[None]:
    """OSErrors are LocalFileErrors of this path."""
    try:
        yield
    except OSError as exc:
        raise LocalFileError(path, exc.strerror or "it cannot be written") from exc
