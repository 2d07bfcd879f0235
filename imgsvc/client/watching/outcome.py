"""What became of one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imgsvc.client.watching.entries import Failure


@dataclass(frozen=True, slots=True)
class Outcome:
    """A file that was dealt with. failure: None when all is well.

    outputs: as the server shows them, with the `path` of each, None where it stands nowhere
        here. job_id, index: its image on the server, None where there is none.
    """

    name: str
    failure: Failure | None
    outputs: tuple[Mapping[str, Any], ...] = ()
    job_id: str | None = None
    index: int | None = None
