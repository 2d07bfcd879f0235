"""The server: the core behind HTTP, started and stopped."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

from aiohttp import web

from imgsvc import __version__
from imgsvc.api.app import build_app
from imgsvc.api.connections import Runner
from imgsvc.api.context import Context
from imgsvc.api.crowd import Crowd
from imgsvc.api.traffic import Traffic
from imgsvc.config import Settings
from imgsvc.domain.rendering import Outcome, RenderTask
from imgsvc.progress.tally import Tally
from imgsvc.runtime.core import Core, explaining_disk, open_core
from imgsvc.runtime.folders import Folders
from imgsvc.runtime.ports import listen, page_url, url_of
from imgsvc.runtime.variables import find_unread
from imgsvc.runtime.webhooks import Webhooks
from imgsvc.service.append import Appender
from imgsvc.service.exposition import Exposition
from imgsvc.service.idempotency import Idempotency
from imgsvc.service.notify import Notifier
from imgsvc.service.reconsider import Reconsiderer
from imgsvc.service.redeliver import Redeliverer
from imgsvc.service.render import Renderer
from imgsvc.service.wait import Waiter
from imgsvc.telemetry.logs import configure_logs, get_logger
from imgsvc.telemetry.metrics import Metrics
from imgsvc.workers.child import render_image

log = get_logger(__name__)

KEEPALIVE_S = 75.0
"""How long an idle connection is kept; aiohttp's own default is an hour."""

MAX_FILES = 65_536

OWN_FILES = 128
"""For the database, the workers and what they make."""

ROOM = 64
"""Idle connections that are closed when files run out."""

TOLD_EVERY_S = 1.0

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

SHUTDOWN_S = 5.0
"""How long requests may go on after everything else has ended."""


def serve(settings: Settings, render: Callable[[RenderTask], Outcome] = render_image) -> int:
    """Run the server until a signal; returns the exit code. Raises StartError.

    A first SIGTERM or SIGINT stops gracefully, a second one at once.
    """
    configure_logs(settings.log.level, settings.log.format)
    for name, meant in find_unread().items():
        log.warning("variable_not_read", name=name, setting=meant)
    _raise_file_limit()
    return asyncio.run(_serve(settings, render))


async def _serve(settings: Settings, render: Callable[[RenderTask], Outcome]) -> int:
    gc.collect()
    gc.freeze()  # The program is not searched for garbage ever again; workers come and go.
    async with open_server(settings, render) as (core, url):
        stop = asyncio.Event()
        _stop_on_signals(core, stop)
        log.info(
            "listening",
            url=url,
            open_in_browser=page_url(url, settings.server.base_url),
            data_dir=str(settings.storage.data_dir.absolute()),
            workers=core.pool.size,
            version=__version__,
        )
        core.failure.add_done_callback(lambda _: stop.set())
        await stop.wait()
        failed = core.failure.done()
    log.info("stopped", failed=failed)
    return 1 if failed else 0


@asynccontextmanager
async def open_server(
    settings: Settings, render: Callable[[RenderTask], Outcome] = render_image
) -> AsyncIterator[tuple[Core, str]]:
    """The core and the URL under which it is served. Raises StartError."""
    sock = await asyncio.to_thread(listen, settings.server.host, settings.server.port)
    with closing(sock):
        metrics = Metrics(__version__)
        tally = Tally(metrics)
        async with open_core(settings, render, tally.follow) as core:
            url = url_of(sock)
            await asyncio.to_thread(core.lock.announce, url)
            webhooks = Webhooks(core, tally.note_attempt)
            webhooks.start()
            with explaining_disk(settings.storage.data_dir.absolute()):
                await Folders(core).start()
            crowd = Crowd(min(settings.server.max_connections, _most_connections()))
            with _surviving_exhaustion(crowd):
                metrics.connections.set_function(lambda: len(crowd))
                exposition = _build_exposition(core, webhooks, metrics, tally)
                context = _build_context(core, webhooks, exposition)
                runner = await _start_runner(context, sock, crowd, Traffic(metrics))
                try:
                    yield core, url
                finally:
                    await core.stop()
                    await runner.cleanup()


@contextmanager
def _surviving_exhaustion(crowd: Crowd) -> Iterator[None]:
    """When no file is left for one more connection, those that are idle give theirs back.

    asyncio listens again after a second, and reports every connection that it could not take.
    """
    loop = asyncio.get_running_loop()
    before, told_s = loop.get_exception_handler(), -TOLD_EVERY_S

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal told_s
        exc = context.get("exception")
        is_connection = "socket" in context  # a task may fail of the same
        if not is_connection or not isinstance(exc, OSError) or exc.errno not in _EXHAUSTED:
            if before is not None:
                before(loop, context)
            else:
                loop.default_exception_handler(context)
            return
        if loop.time() - told_s >= TOLD_EVERY_S:
            told_s = loop.time()
            closed = crowd.make_room(ROOM)
            log.error("too_many_open_files", reason=exc.strerror, idle_connections_closed=closed)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


def _build_exposition(core: Core, webhooks: Webhooks, metrics: Metrics, tally: Tally) -> Exposition:
    return Exposition(
        metrics,
        tally,
        core.store,
        core.blobs,
        core.pool,
        core.workforce,
        core.hub,
        settings=core.settings,
        count_left_alone=lambda: core.fetches.hosts_left_alone,
        count_undelivered=lambda: webhooks.backlog.waiting,
    )


def _build_context(core: Core, webhooks: Webhooks, exposition: Exposition) -> Context:
    return Context(
        settings=core.settings,
        store=core.store,
        blobs=core.blobs,
        hub=core.hub,
        paces=core.paces,
        submitter=core.submitter,
        deleter=core.deleter,
        presets=core.presets,
        readiness=core.readiness,
        reconsiderer=Reconsiderer(core.store, core.dispatcher, core.fetches.end_pauses),
        appender=Appender(
            core.store, core.blobs, core.dispatcher, core.readiness, core.settings.limits
        ),
        waiter=Waiter(core.store, core.hub),
        redeliverer=Redeliverer(core.store, webhooks.wake),
        notifier=Notifier(core.store, webhooks.wake),
        watermarks=core.watermarks,
        idempotency=Idempotency(core.store, core.blobs, core.readiness, core.settings.limits),
        workforce=core.workforce,
        renderer=Renderer(
            core.blobs, core.dispatcher.urgent, core.presets, core.watermarks, core.readiness
        ),
        exposition=exposition,
    )


async def _start_runner(
    context: Context, sock: socket.socket, crowd: Crowd, traffic: Traffic
) -> Runner:
    runner = Runner(
        build_app(context),
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=SHUTDOWN_S,
        crowd=crowd,
        traffic=traffic,
    )
    await runner.setup()
    await web.SockSite(runner, sock).start()
    return runner


def _most_connections() -> int:
    """Each is a file, and most bring another one with them that is sent or received."""
    return max(1, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OWN_FILES) // 2)


def _raise_file_limit() -> None:
    """Every connection is a file to the system, which gives a process few unless asked."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MAX_FILES), hard))


def _stop_on_signals(core: Core, stop: asyncio.Event) -> None:
    def handle(number: signal.Signals) -> None:
        if stop.is_set():
            core.pool.kill()
            os._exit(128 + number)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle, number)
