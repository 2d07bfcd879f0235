"""`imgsvc run --watch` from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgsvc.cli.folder_notes import say_folder_notes
from imgsvc.cli.inputs import refuse_out_above, refuse_results
from imgsvc.cli.run_wish import Wish
from imgsvc.cli.space_notes import saying_space_notes
from imgsvc.cli.status_line import StatusLine
from imgsvc.cli.stopping import run_until_stopped
from imgsvc.cli.watch_reports import Reporter, sum_up
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.out_folder import OutFolder
from imgsvc.client.watching.watch import Reports
from imgsvc.config import Settings
from imgsvc.errors import ShuttingDown, StartError
from imgsvc.files.state import STATE_FOLDER
from imgsvc.folders.scan import Folder
from imgsvc.local.run_watch import RunWatch
from imgsvc.local.watched import Watched

if TYPE_CHECKING:
    from imgsvc.runtime.core import Core


def run_watching(
    settings: Settings, paths: Sequence[str], wish: Wish, *, as_json: bool, polling: bool
) -> int:
    """Until it is stopped; the exit code. Raises click.UsageError, StartError."""
    watched = _find_folders(paths, wish.out, polling=polling or None)
    line = StatusLine()
    say_folder_notes(line.say)
    reporter = Reporter(line, as_json=as_json)
    with saying_space_notes(line.say, wish.out):
        code = asyncio.run(_run(settings, watched, wish, reporter))
    line.say(f"Stopped: {sum_up(reporter.progress)}. The same command again goes on from here.")
    return code


async def _run(
    settings: Settings, watched: Sequence[Watched], wish: Wish, reporter: Reporter
) -> int:
    from imgsvc.runtime.core import open_core

    async with open_core(settings) as core:
        local = wish.open_run(core)
        state = wish.out / STATE_FOLDER
        with await asyncio.to_thread(WatchJournal, state / "run-watch.jsonl") as journal:
            variants = [(variant.name, variant.format) for variant in wish.recipe.variants]
            reporter.out = OutFolder(wish.out, journal, variants)
            reporter.watch = watch = RunWatch(
                local,
                wish.plan(),
                await core.store.exports(),
                watched,
                journal,
                reporter.out,
                Disk(reporter.tell_disk_trouble, reporter.tell_disk_well),
                Reports(reporter.tell_outcome, reporter.list_failures),
            )
            what = ", ".join(str(each.folder.root) for each in watched)
            async with reporter.showing(what):
                return await run_until_stopped(_run_beside(core, watch.run(), reporter.out))


async def _run_beside(core: Core, work: Coroutine[Any, Any, None], out: OutFolder) -> None:
    """As long as the core lives. Raises StartError when it dies, LocalFileError when that is
    because the out folder is gone.
    """
    working = asyncio.ensure_future(work)
    core.failure.add_done_callback(lambda _: working.cancel())
    try:
        await working
    except asyncio.CancelledError:
        if not core.failure.done():
            raise
        why: BaseException | None = core.failure.exception()
    except ShuttingDown as exc:
        why = exc
    else:
        return
    await asyncio.to_thread(out.check)
    raise StartError(f"It cannot go on: {why}")


def _find_folders(paths: Sequence[str], out: Path, *, polling: bool | None) -> list[Watched]:
    watched: dict[str, Watched] = {}
    for given in paths:
        path = Path(given)
        if not given or not path.is_dir():
            raise click.UsageError(f"--watch takes folders, and {given} is none.")
        root = path.resolve()
        refuse_out_above(path, out)
        refuse_results(path)
        for other in watched.values():
            if root.is_relative_to(other.root) or other.root.is_relative_to(root):
                raise click.UsageError(f"{path} and {other.folder.root} lie in each other.")
        above = "" if len(paths) == 1 else f"{root.name}/"
        if above in watched:
            raise click.UsageError(f"Two of the folders are called {root.name}.")
        watched[above] = Watched(Folder(path.absolute(), [out]), above, root, polling)
    return list(watched.values())
