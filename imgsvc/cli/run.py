"""`imgsvc run`: the engine without a server, from files to a folder."""

from __future__ import annotations

import asyncio
import logging
import signal
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from imgsvc.cli import exits
from imgsvc.cli.arguments import FILE, FOLDER
from imgsvc.cli.inputs import FoundFile, find_files, find_list, say_left_out
from imgsvc.cli.output import count_bar, count_text, json_option, print_json, say, size_text
from imgsvc.cli.recipes import read_recipe_file
from imgsvc.cli.run_wish import Wish
from imgsvc.cli.space_notes import saying_space_notes
from imgsvc.cli.watermark_files import find_watermark_files
from imgsvc.config import Settings, load_settings
from imgsvc.domain.input_names import without_surrogates
from imgsvc.domain.names import without_controls
from imgsvc.errors import StartError
from imgsvc.files.state import STATE_FOLDER
from imgsvc.runtime.offline import read_exports
from imgsvc.service.local_plan import LocalInput, LocalPlan, RunSummary
from imgsvc.service.presets import resolve_built_in
from imgsvc.telemetry.logs import configure_logs

GRACE_S = 5.0
MAX_FAILURES_SHOWN = 20


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--out",
    required=True,
    type=FOLDER,
    help="The folder for the results; it also remembers what is done.",
)
@click.option("--preset", help="What to make of the images.  [default: standard]")
@click.option(
    "--recipe",
    type=FILE,
    help="JSON file that says what to make, in place of a preset.",
)
@click.option(
    "--watermark",
    "watermarks",
    multiple=True,
    metavar="NAME=FILE",
    help="The picture for a watermark that the recipe names; may be given again.",
)
@click.option("--workers", type=click.IntRange(1), help="Worker processes.  [default: all CPUs]")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--watch", is_flag=True, help="Stay, and take what arrives in the folders.")
@click.option(
    "--polling",
    is_flag=True,
    help="With --watch: look for changes instead of being told, as on a network's file systems.",
)
@json_option
def run(
    paths: tuple[str, ...],
    out: Path,
    preset: str | None,
    recipe: Path | None,
    watermarks: tuple[str, ...],
    workers: int | None,
    dry_run: bool,
    watch: bool,
    polling: bool,
    as_json: bool,
) -> None:
    """Process files without a server.

    PATH is a file, a folder (with all images below it; hidden files are left out), or a
    pattern such as 'photos/**/*.jpg'. Started again, it does only what is missing or changed.

    With --watch every PATH is a folder. What is there goes first; then a file is taken once it
    is completely written, and again when it has changed, until the program is stopped. With
    --json there is a line of JSON for every file.
    """
    if preset and recipe:
        raise click.UsageError("Give either --preset or --recipe.")
    document = read_recipe_file(recipe) if recipe else None
    name, chosen = resolve_built_in(preset, document, pointer="")
    marks = find_watermark_files(watermarks, chosen)
    settings = _settings(out, workers)
    wish = Wish(out.absolute(), chosen, name, marks)
    if watch:
        from imgsvc.cli.run_watching import run_watching  # loads much that others do without

        if dry_run:
            raise click.UsageError("Give either --watch or --dry-run.")
        sys.exit(run_watching(settings, paths, wish, as_json=as_json, polling=polling))
    inputs = _inputs(_find(paths, out))
    _log_errors()
    todo = _find_todo(inputs, LocalPlan(out.absolute(), chosen, marks), out)
    if dry_run:
        _show_todo(todo, len(inputs), as_json=as_json)
        return
    summary = RunSummary(total=len(inputs), skipped=len(inputs))
    if todo:
        try:
            with saying_space_notes(say, out):
                summary = asyncio.run(_run(settings, inputs, wish))
        except asyncio.CancelledError:
            say("Interrupted. Run it again to go on from here.")
            sys.exit(exits.INTERRUPTED)
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise StartError(f"{exc.filename or out} cannot be written: {reason}.") from exc
    _report(summary, out, as_json=as_json)
    if summary.failed:
        sys.exit(exits.SOME_FAILED)


def _log_errors() -> None:
    """What is less than an error is there for those who make sentences of it."""
    configure_logs("info", "console")
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.ERROR)


def _find(paths: Sequence[str], out: Path) -> list[FoundFile]:
    """Raises click.UsageError."""
    left_out: list[Path] = []
    found = find_files(paths, leave_out=out, left_out=left_out)
    say_left_out(left_out)
    if table := find_list(found):
        raise click.UsageError(f"{table} is a product list, which `imgsvc submit` takes.")
    return found


def _find_todo(inputs: Sequence[LocalInput], plan: LocalPlan, out: Path) -> list[str]:
    """Names of what has to be made; found without starting any worker."""
    exports = asyncio.run(read_exports(out / STATE_FOLDER))
    return [item.name for _, item in plan.find_todo(inputs, plan.name_results(inputs), exports)]


def _show_todo(todo: Sequence[str], total: int, *, as_json: bool) -> None:
    unchanged = total - len(todo)
    if as_json:
        print_json({"todo": todo, "unchanged": unchanged})
        return
    for name in todo:
        click.echo(without_controls(name))
    say(f"{count_text(len(todo), 'image')} would be done, {unchanged} unchanged.")


def _settings(out: Path, workers: int | None) -> Settings:
    return load_settings(
        flags={
            "storage": {"data_dir": out / STATE_FOLDER, "reserve_bytes": 0},
            "server": {"shutdown_grace_s": GRACE_S},
            "workers": {"size": workers},
        }
    )


async def _run(settings: Settings, inputs: Sequence[LocalInput], wish: Wish) -> RunSummary:
    """Raises CancelledError after SIGINT or SIGTERM."""
    from imgsvc.runtime.core import open_core  # who has nothing to do needs none of this

    current = asyncio.current_task()
    loop = asyncio.get_running_loop()
    if current is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, current.cancel)
    with count_bar("Processing") as show:
        async with open_core(settings) as core:
            local = wish.open_run(core)
            working = asyncio.create_task(
                local.run(
                    inputs,
                    lambda s: show(s.skipped + s.completed + s.failed, s.total, _remark(s)),
                )
            )
            try:
                core.failure.add_done_callback(lambda _: working.cancel())
                await asyncio.wait({working})
                if core.failure.done():
                    raise StartError(f"It cannot go on: {core.failure.exception()}")
                return working.result()
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)


def _inputs(found: Sequence[FoundFile]) -> list[LocalInput]:
    """What is gone by now is among them, and fails alone. Raises click.UsageError for a pipe, which
    can be read once only.
    """
    inputs = []
    for file in found:
        size_bytes, mtime_ns = file.size_bytes, 0
        with suppress(OSError):
            facts = file.path.stat()
            if not stat.S_ISREG(facts.st_mode):
                raise click.UsageError(f"{file.path} is no file that can be read in place.")
            size_bytes, mtime_ns = facts.st_size, facts.st_mtime_ns
        name = without_surrogates(file.name)
        inputs.append(LocalInput(name, file.path.resolve(), size_bytes, mtime_ns))
    return inputs


def _remark(summary: RunSummary) -> str:
    return f"{summary.failed} failed" if summary.failed else ""


def _report(summary: RunSummary, out: Path, *, as_json: bool) -> None:
    if as_json:
        document = asdict(summary)
        document["failures"] = [
            {"name": name, "code": code, "message": message}
            for name, code, message in summary.failures
        ]
        print_json(document)
        return
    unchanged = f", {summary.skipped} unchanged" if summary.skipped else ""
    say(
        f"{count_text(summary.completed, 'image')} done{unchanged}: "
        f"{size_text(summary.output_bytes)} in {out}."
    )
    if summary.failed:
        say(f"{count_text(summary.failed, 'image')} failed:")
    for name, code, message in summary.failures[:MAX_FAILURES_SHOWN]:
        say(f"  {name}: {message} ({code})")
    if summary.failed > MAX_FAILURES_SHOWN:
        say(f"  … and {summary.failed - MAX_FAILURES_SHOWN} more, which --json names")
