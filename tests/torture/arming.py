"""Puts a plan's death into the functions of this process, and a look at what a recovery left."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import threading
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from tests.torture.inspection import inspect_recovered
from tests.torture.points import FINDINGS, PLAN, POINTS, Moment, Plan, Victims

DURING_S = 0.002


def arm() -> None:
    os.setpgid(0, 0)  # so that its group can be killed, and nobody else
    if PLAN in os.environ:
        plan = Plan.load(os.environ[PLAN])
        _patch(POINTS[plan.point].place, lambda real: _deadly(real, plan))
    if FINDINGS in os.environ:
        _patch("imgsvc.runtime.core:_recover", _inspected)


def _patch(place: str, wrap: Callable[[Any], Any]) -> None:
    module, _, path = place.partition(":")
    owner: Any = import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, wrap(getattr(owner, name)))


def _deadly(real: Any, plan: Plan) -> Any:
    """A function that is the last of its process when it is called for the n-th time."""
    calls = 0
    lock = threading.Lock()

    def is_last() -> bool:
        nonlocal calls
        with lock:
            calls += 1
            return calls == plan.call

    def before() -> bool:
        if not is_last():
            return False
        if plan.moment is Moment.BEFORE:
            _die(plan.victims)
        if plan.moment is Moment.DURING:
            threading.Timer(DURING_S * plan.call / (plan.call + 1), _die, [plan.victims]).start()
        return plan.moment is Moment.AFTER

    @wraps(real)
    async def deadly_async(*args: Any, **kwargs: Any) -> Any:
        dies_after = before()
        result = await real(*args, **kwargs)
        if dies_after:
            _die(plan.victims)
        return result

    @wraps(real)
    def deadly(*args: Any, **kwargs: Any) -> Any:
        dies_after = before()
        result = real(*args, **kwargs)
        if dies_after:
            _die(plan.victims)
        return result

    return deadly_async if inspect.iscoroutinefunction(real) else deadly


def _die(victims: Victims) -> None:
    if victims is Victims.GROUP:
        os.killpg(os.getpgrp(), signal.SIGKILL)
    if victims is Victims.BOTH:
        for child in psutil.Process().children(recursive=True):
            child.kill()
    os.kill(os.getpid(), signal.SIGKILL)


def _inspected(recover: Any) -> Any:
    """Look at the data folder while it has been put right and nothing runs yet."""

    @wraps(recover)
    async def recover_and_inspect(settings: Any, *args: Any) -> None:
        await recover(settings, *args)
        faults = await asyncio.to_thread(inspect_recovered, settings.storage.data_dir)
        Path(os.environ[FINDINGS]).write_text(json.dumps(faults))

    return recover_and_inspect
