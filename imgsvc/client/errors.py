"""What can go wrong for a client.

ClientError
├── ServerUnreachable     nobody answers, or the connection broke, or it is no imgsvc
├── ApiError              the server refused; `code` is stable (see the API's errors)
├── LocalFileError        a file here cannot be read or written
└── JournalBusy           another process is at this submission
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imgsvc.domain.logins import without_login
from imgsvc.errors import Fault, ImgsvcError


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
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


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
