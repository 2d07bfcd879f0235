"""A pool whose workers are confined, and what they are made to try."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from imgsvc.domain.rendering import RenderFailed, output_path
from tests.workers import escapes
from tests.workers.conftest import Follower, Pools

Wish = tuple[str, object]


async def open_prison(open_pool: Pools, **settings: Any) -> Follower:
    return await open_pool(
        **{"render": escapes.render, "warm_up": None, "sandbox": "required", **settings}
    )


async def try_out(pool: Follower, wishes: Iterable[Wish]) -> list[Any]:
    """What became of each, in order."""
    (key,) = await pool.submit(json.dumps([list(wish) for wish in wishes]))
    await pool.ended([key])
    finished = pool.finished(key)
    assert not isinstance(finished.outcome, RenderFailed)
    path = Path(output_path(finished.task.output_prefix, "only", "png"))
    results: list[Any] = json.loads(await asyncio.to_thread(path.read_text))
    return results


async def assert_refused(pool: Follower, *wishes: Wish, by: Iterable[str]) -> None:
    results = await try_out(pool, wishes)
    said = [f"{wish}: {result}" for wish, result in zip(wishes, results, strict=True)]
    assert [line for line, result in zip(said, results, strict=True) if result not in by] == []
