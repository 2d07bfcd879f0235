"""`imgsvc watch`: every image that arrives in a folder to a server, and its results back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from imgsvc.cli.arguments import FILE, FOLDER, NamedPath, refuse_empty
from imgsvc.cli.folder_notes import say_folder_notes
from imgsvc.cli.inputs import refuse_out_above, refuse_results
from imgsvc.cli.journals import place_watch_journal
from imgsvc.cli.recipes import read_recipe_file
from imgsvc.cli.session import read_key, server_options
from imgsvc.cli.status_line import StatusLine
from imgsvc.cli.stopping import run_until_stopped
from imgsvc.cli.watch_reports import Reporter, sum_up
from imgsvc.client import Client, JournalBusy
from imgsvc.client.patience import Persistence
from imgsvc.client.variants import Variants, variants_of
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.out_folder import OutFolder
from imgsvc.client.watching.shipping import Spec
from imgsvc.client.watching.watch import FolderWatch, Reports
from imgsvc.domain.job import MAX_LABEL_CHARS
from imgsvc.domain.names import without_controls
from imgsvc.files.state import STATE_FOLDER
from imgsvc.folders.scan import Folder
from imgsvc.recipes.presets import DEFAULT_PRESET
from imgsvc.recipes.validation import parse_recipe


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is wanted. folder, out: absolute. recipe: an own one, as read from its file."""

    folder: Path
    out: Path | None
    preset: str | None
    recipe: dict[str, Any] | None
    label: str | None
    priority: str | None

    def spec(self) -> Spec:
        label = self.label or without_controls(self.folder.name)[:MAX_LABEL_CHARS]
        job = {
            "preset": self.preset,
            "recipe": self.recipe,
            "label": label or None,
            "priority": self.priority,
        }
        made = json.dumps([self.preset or DEFAULT_PRESET, self.recipe], sort_keys=True)
        return Spec(job, hashlib.sha256(made.encode()).hexdigest()[:16])


@click.command()
@click.argument("folder", metavar="DIR", type=NamedPath(path_type=Path))
@click.option(
    "--out",
    type=FOLDER,
    help="Save the results in this folder; it also remembers what is done.",
)
@click.option(
    "--preset", callback=refuse_empty, help="What to make of the images.  [default: standard]"
)
@click.option(
    "--recipe",
    type=FILE,
    help="JSON file that says what to make, in place of a preset.",
)
@click.option("--label", help="Free text by which to find the jobs.  [default: DIR's name]")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]))
@click.option(
    "--polling",
    is_flag=True,
    help="Look for changes instead of being told; so it is anyway on a network's file systems.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print a line of JSON to stdout for every file."
)
@server_options
def watch(
    folder: Path,
    out: Path | None,
    preset: str | None,
    recipe: Path | None,
    label: str | None,
    priority: str | None,
    polling: bool,
    as_json: bool,
    server: str,
    api_key_file: Path | None,
) -> None:
    """Send every image that arrives in a folder to a server.

    DIR is watched with all folders below it, and what is there already goes first. A file is
    sent once it is completely written, and again when it has changed; hidden files, links, and
    names that end in .part or .tmp are left alone. With --out results are saved as they finish,
    in the folders of their images. Started again, it goes on where it stopped.
    """
    if preset and recipe:
        raise click.UsageError("Give either --preset or --recipe.")
    own = read_recipe_file(recipe) if recipe else None
    api_key = read_key(api_key_file) if api_key_file else None
    wish = _Wish(folder.absolute(), out and out.absolute(), preset, own, label, priority)
    _check_folders(wish)
    path = _place_journal(wish, server)
    line = StatusLine()
    say_folder_notes(line.say)
    sys.exit(
        asyncio.run(
            _run(wish, path, line, server, api_key, as_json=as_json, polling=polling or None)
        )
    )


async def _run(
    wish: _Wish,
    journal_path: Path,
    line: StatusLine,
    server: str,
    api_key: str | None,
    *,
    as_json: bool,
    polling: bool | None,
) -> int:
    reporter = Reporter(line, as_json=as_json)
    patience = Persistence(reporter.tell_server_trouble, reporter.tell_server_well)
    disk = Disk(reporter.tell_disk_trouble, reporter.tell_disk_well)
    folder = Folder(wish.folder, [wish.out] if wish.out else [])

    async def work() -> None:
        async with Client(
            server, api_key, agent="imgsvc-watch", patience=lambda: patience
        ) as client:
            variants = await _find_variants(client, patience, wish)
            # only now: it marks the out folder, and what is refused leaves no mark
            opening = partial(_open_journal, wish, journal_path)
            with await disk.insist(opening, whatever=False) as journal:
                out = OutFolder(wish.out, journal, variants) if wish.out else None
                reporter.out = out
                watch = FolderWatch(
                    client,
                    folder,
                    journal,
                    wish.spec(),
                    out,
                    patience,
                    disk,
                    Reports(reporter.tell_outcome, reporter.list_failures),
                    polling=polling,
                )
                reporter.watch = watch
                async with reporter.showing(str(wish.folder)):
                    await watch.run()

    code = await run_until_stopped(work())
    line.say(f"Stopped: {sum_up(reporter.progress)}. The same command again goes on from here.")
    return code


async def _find_variants(client: Client, patience: Persistence, wish: _Wish) -> Variants:
    """Name and format of what is to be made. Raises click.UsageError for an unknown preset,
    InvalidRecipe.
    """
    if wish.recipe is not None:
        return [(v.name, v.format) for v in parse_recipe(wish.recipe).variants]
    name = wish.preset or DEFAULT_PRESET
    presets = {each["name"]: each for each in await patience.insist(client.presets)}
    if name not in presets:
        raise click.UsageError(f"There is no preset {name}. There are {', '.join(presets)}.")
    return variants_of(presets[name]["recipe"])


def _check_folders(wish: _Wish) -> None:
    if wish.folder.exists() and not wish.folder.is_dir():
        raise click.UsageError(f"{wish.folder} is no folder.")
    if wish.out is not None:
        refuse_out_above(wish.folder, wish.out)
    refuse_results(wish.folder)


def _place_journal(wish: _Wish, server: str) -> Path:
    """Raises click.UsageError when there is neither a folder nor a journal of it."""
    if wish.out is not None:
        path = wish.out / STATE_FOLDER / "watch.jsonl"
    else:
        path = place_watch_journal([server, str(wish.folder), wish.spec().recipe])
    if not wish.folder.exists() and not path.exists():
        raise click.UsageError(f"There is no folder {wish.folder}.")
    return path


def _open_journal(wish: _Wish, path: Path) -> WatchJournal:
    """Blocking. Raises click.UsageError, and JournalBusy or LocalFileError."""
    try:
        journal = WatchJournal(path)
    except JournalBusy as exc:
        if wish.out is None:
            raise
        raise click.UsageError(
            f"Another process saves its results in {wish.out}: stop that, or give this one "
            "another --out."
        ) from exc
    with ExitStack() as failing:
        failing.enter_context(journal)
        if journal.folder is None:
            journal.begin(str(wish.folder))
        elif journal.folder != str(wish.folder):
            raise click.UsageError(
                f"{wish.out} has the results of {journal.folder}. Give {wish.folder} an out folder "
                f"of its own; or, if it is the same folder in another place, remove {path}: "
                "everything is made again then."
            )
        failing.pop_all()
    return journal
