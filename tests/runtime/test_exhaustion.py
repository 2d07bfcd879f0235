"""What the loop reports where there is nobody else to hear it."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from imgsvc.api.crowd import Crowd
from imgsvc.runtime.server import _surviving_exhaustion


@pytest.fixture
async def reported() -> AsyncIterator[list[dict[str, Any]]]:
    """What nobody else has taken care of."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    yield contexts
    loop.set_exception_handler(before)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
async def test_only_a_connection_that_could_not_be_taken_is_passed_over(
    reported: list[dict[str, Any]], number: int
) -> None:
    loop = asyncio.get_running_loop()
    failure = {"message": "failed", "exception": OSError(number, os.strerror(number))}
    with _surviving_exhaustion(Crowd(1)):
        loop.call_exception_handler({**failure, "socket": None})
        assert reported == []
        lost_task = {**failure, "future": None}
        loop.call_exception_handler(lost_task)
    assert reported == [lost_task]
