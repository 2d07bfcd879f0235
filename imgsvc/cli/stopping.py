"""How commands are stopped."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from imgsvc.cli import exits

CHUNK_BYTES = 64 << 10


def interrupt_on_sigterm() -> None:
    """Have SIGTERM do what Ctrl-C does, so that nothing half-written is left behind."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a script's command in the background
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    else:
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def read_stdin() -> bytes:
    """All of it. For before a loop runs: no signal ends who reads in one of its threads.

    Raises click.UsageError.
    """
    if sys.stdin is None:  # after `<&-` of a shell
        raise click.UsageError("There is no stdin to read from.")
    interrupt_on_sigterm()
    try:
        with _woken_by_signals() as signals:
            return b"".join(_chunks(sys.stdin.fileno(), signals))
    except OSError as exc:
        raise click.UsageError(f"stdin cannot be read: {exc.strerror or exc}.") from exc


@contextmanager
def _woken_by_signals() -> Iterator[int]:
    """The file descriptor of what becomes readable when a signal comes."""
    woken, waker = socket.socketpair()
    with woken, waker:
        waker.setblocking(False)
        before = signal.set_wakeup_fd(waker.fileno())
        try:
            yield woken.fileno()
        finally:
            signal.set_wakeup_fd(before)


def _chunks(fd: int, signals: int) -> Iterator[bytes]:
    """What is read until the end. A signal just before a read that waits would be seen after it
    only, so nothing is read before there is something.
    """
    while True:
        ready, _, _ = select.select([fd, signals], [], [])
        if signals in ready:
            os.read(signals, CHUNK_BYTES)
        if fd in ready:
            with suppress(BlockingIOError):  # somebody else who has it was faster
                chunk = os.read(fd, CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk


async def run_until_stopped(work: Coroutine[Any, Any, None]) -> int:
    """Run `work` until SIGINT or SIGTERM cancels it; the exit code for that.

    Ctrl-C interrupts. SIGTERM is how service managers end what runs for ever: all is well.
    """
    task = asyncio.ensure_future(work)
    codes: list[int] = []

    def stop(code: int) -> None:
        codes.append(code)
        task.cancel()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop, exits.INTERRUPTED)
    loop.add_signal_handler(signal.SIGTERM, stop, 0)
    await asyncio.wait({task})
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)
    if not (task.cancelled() and codes):
        task.result()
    return codes[0] if codes else 0
