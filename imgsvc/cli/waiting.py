"""What is said while a command waits for its server."""

from __future__ import annotations

from imgsvc.cli.output import say
from imgsvc.client import ApiError, ClientError
from imgsvc.client.patience import Patience


class SpokenPatience(Patience):
    """Says once what is waited for, whatever comes and goes of the same kind."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def note_trouble(self, error: ClientError) -> None:
        kind = error.code if isinstance(error, ApiError) else "away"
        if kind not in self._said:
            self._said.add(kind)
            say(waiting_text(error))


def waiting_text(error: ClientError) -> str:
    if isinstance(error, ApiError) and not error.code.startswith("http_"):
        return f"The server says: {error.message} Waiting."
    return f"{error.message.rstrip('.')}. Waiting for it."
