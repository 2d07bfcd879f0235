"""What becomes of a commit whose request was cancelled while it was under way."""

from __future__ import annotations

import asyncio
from typing import Any


async def was_carried_out(commit: asyncio.Task[Any] | None) -> bool:
    """Whether the commit, if there is one, succeeded; waits for its end.

    A store carries out what it was given, whether somebody still waits for it or not.
    """
    if commit is None:
        return False
    await asyncio.wait([commit])
    return not commit.cancelled() and commit.exception() is None
