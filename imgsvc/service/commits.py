"""What becomes of a commit whose request was cancelled, or refused, while it was under way."""

from __future__ import annotations

import asyncio
from typing import Any

from imgsvc.store.store import Store


async def may_stand(commit: asyncio.Task[Any] | None, store: Store) -> bool:
    """Whether the commit, if there is one, succeeded, or may have; waits for its end.

    A store carries out what it was given, whether somebody still waits for it or not. Where it
    breaks down meanwhile, only the next start finds out what stands.
    """
    if commit is None:
        return False
    await asyncio.wait([commit])
    return store.has_broken_down or (not commit.cancelled() and commit.exception() is None)
