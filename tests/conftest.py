"""What holds for every test of the project."""

from __future__ import annotations

import gc
import inspect
import logging
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from blockbuster import BlockBuster, BlockBusterFunction

hypothesis.settings.register_profile(
    "imgsvc",
    # How long an example takes says more about the machine than about the code.
    deadline=None,
    print_blob=True,
)
hypothesis.settings.load_profile("imgsvc")

# Nobody here is asked for a certificate, and to load those that one could be held against takes
# every process as long as a tenth of a server's start.
os.environ |= {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}

# A script's shell has what it starts in the background ignore Ctrl-C, and so would every command
# that a test sends it to.
signal.signal(signal.SIGINT, signal.default_int_handler)

_TESTS = Path(__file__).parent
_LONG = [
    "cli",
    "disk",
    "runtime",
    "torture",
    "page",
    "folders",
    "workers",
    "store",
    "hostile",
    "api",
]
"""Folders with files that take long, those with the longest first."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that one file is not waited for in the end. The order is
    random otherwise.
    """
    ranks = {folder: rank for rank, folder in enumerate(_LONG)}
    items.sort(key=lambda item: ranks.get(item.path.relative_to(_TESTS).parts[0], len(_LONG)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Seven thousand tests are loaded, stay to the end, and are never searched for garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """A developer's own IMGSVC_ variables must not decide what a test sees."""
    for name in [name for name in os.environ if name.startswith("IMGSVC_")]:
        del os.environ[name]


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A test that sets up the logs, as every command does, does so for itself alone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def _no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """A call out of `imgsvc` that blocks the event loop fails the test.

    The test's own code may block: nobody waits for it. Locks are left out, because one
    that another thread holds for a microsecond is no fault, only bad luck.
    """
    if not inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        yield
        return
    guard = BlockBuster(scanned_modules=["imgsvc"])
    for name in ("os.fsync", "os.fdatasync"):
        guard.functions[name] = BlockBusterFunction(None, name, scanned_modules=["imgsvc"])
    for name in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
        del guard.functions[name]
    guard.activate()
    try:
        yield
    finally:
        guard.deactivate()
