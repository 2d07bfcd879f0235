"""`imgsvc doctor`: is everything here that the program needs, and if not, what helps?"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import click

from imgsvc import __version__
from imgsvc.blobs.ballast import Ballast
from imgsvc.blobs.layout import Layout, check_layout
from imgsvc.blobs.room import find_room
from imgsvc.cli import exits
from imgsvc.cli.arguments import FILE, FOLDER
from imgsvc.cli.output import count_text, json_option, print_json, print_rows, size_text
from imgsvc.client import Client, ClientError
from imgsvc.config import Settings, load_settings
from imgsvc.domain.names import without_controls
from imgsvc.errors import ImgsvcError, StartError
from imgsvc.files.state import is_out_folder
from imgsvc.runtime.file_check import check_files
from imgsvc.runtime.folders import check_folders
from imgsvc.runtime.offline import find_server, is_data_folder, looking_up
from imgsvc.runtime.variables import find_unread
from imgsvc.service.backup import DATABASE
from imgsvc.service.presets import KnownPresets
from imgsvc.store.examination import (
    check_inputs,
    check_there,
    check_writable,
    examine,
    open_untouched,
)
from imgsvc.store.lock import DataFolderLock

PACKAGES = ("aiohttp", "aiosqlite", "pyvips", "pillow", "pydantic")
FEW_FILES = 4096
MOST_NAMED = 20
ANSWER_S = 5.0
"""Longest wait for a running server: it answers at once, or something is wrong."""

SMALL_SHARE_BYTES = 256 << 20
"""Below it photos of some 20 megapixels have to be done one after the other."""

_FORMATS = """
import json, pyvips
from imgsvc.imaging.formats import list_formats
from imgsvc.imaging.readers.registry import missing_formats
formats = list_formats()
print(json.dumps({"libvips": pyvips.version(0), "minor": pyvips.version(1),
    "read": formats.read, "write": formats.write, "missing": missing_formats()}))
"""

_CONFINEMENT = """
import dataclasses, json, sys
from pathlib import Path
from imgsvc.workers.child import import_imaging
from imgsvc.workers.sandbox import confine
import_imaging()
print(json.dumps(dataclasses.asdict(confine("auto", Path(sys.argv[1]), Path(sys.argv[1])))))
"""

Verdict = Literal["ok", "warning", "problem"]
_SIGNS: dict[Verdict, str] = {"ok": "ok", "warning": "!", "problem": "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """advice: what to do about it; empty when nothing is to be done. files: those that it is about,
    all of them, by what is wrong with them.
    """

    subject: str
    verdict: Verdict
    fact: str
    advice: str = ""
    files: Mapping[str, Sequence[str]] | None = None


@click.command()
@click.option(
    "--data",
    type=FOLDER,
    help="The data folder to look at.  [default: data]",
)
@click.option(
    "--config",
    type=FILE,
    help="Settings in TOML, as for serve.",
)
@click.option("--files", is_flag=True, help="Read every file that is kept, which takes long.")
@json_option
def doctor(data: Path | None, config: Path | None, files: bool, as_json: bool) -> None:
    """Check versions, formats, settings, sandbox, disk, memory and the database.

    Nothing is changed, and a running server is not disturbed. The exit code is 1 when
    something has to be done.
    """
    findings = list(_examine(config, data, files=files))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_rows(
            ("", "What", "Found", "What to do"),
            [(_SIGNS[f.verdict], f.subject, f.fact, f.advice) for f in findings],
        )
        for finding in findings:
            _name_files(finding.files or {})
    if any(finding.verdict == "problem" for finding in findings):
        sys.exit(exits.SOME_FAILED)


def _name_files(files: Mapping[str, Sequence[str]]) -> None:
    for trouble, paths in files.items():
        for path in paths[:MOST_NAMED]:
            click.echo(without_controls(f"{trouble}: {path}"))
        if len(paths) > MOST_NAMED:
            click.echo(f"… and {len(paths) - MOST_NAMED} more {trouble}, which --json names")


def _examine(config: Path | None, data: Path | None, *, files: bool) -> Iterator[Finding]:
    yield _versions()
    yield _formats()
    try:
        settings = load_settings(config, flags={"storage": {"data_dir": data}})
    except ImgsvcError as exc:
        yield Finding("settings", "problem", exc.message, "Correct it; see docs/settings.md.")
        return
    yield _variables()
    for look in _LOOKS:
        yield look(settings)
    if files:
        yield _files(settings)


def _variables() -> Finding:
    unread = find_unread()
    if not unread:
        return Finding("settings", "ok", "valid")
    advice = f"If they are meant for settings, write {', '.join(unread.values())}."
    return Finding("settings", "warning", f"valid; not read: {', '.join(unread)}", advice)


def _versions() -> Finding:
    found = [f"imgsvc {__version__}", f"Python {platform.python_version()}"]
    found.append(f"SQLite {sqlite3.sqlite_version}")
    try:
        found += [f"{name} {version(name)}" for name in PACKAGES]
    except PackageNotFoundError as exc:
        advice = "Install it again: pip install ."
        return Finding("versions", "problem", f"{exc.name} is missing", advice)
    return Finding("versions", "ok", ", ".join(found))


def _formats() -> Finding:
    """Asked of another process, as the server does: libvips stays out of this one."""
    asked = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _FORMATS], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        reason = asked.stderr.strip().splitlines()[-1:] or ["it says nothing"]
        advice = "Install libvips with the program: pip install 'pyvips[binary]'"
        return Finding("formats", "problem", f"libvips does not load: {reason[0]}", advice)
    facts = json.loads(asked.stdout)
    fact = (
        f"libvips {facts['libvips']}.{facts['minor']} and Pillow read {', '.join(facts['read'])}; "
        f"written are {', '.join(facts['write'])}"
    )
    if facts["missing"]:
        advice = f"For {' and '.join(facts['missing'])}: pip install 'imgsvc[formats]'"
        return Finding("formats", "ok", fact, advice)
    return Finding("formats", "ok", fact)


def _sandbox(settings: Settings) -> Finding:
    """Tried out in another process, which is confined as a worker is."""
    if settings.workers.sandbox == "off":
        advice = 'Whoever sends images is trusted with this machine; workers.sandbox = "auto".'
        return Finding("sandbox", "warning", "switched off", advice)
    with TemporaryDirectory() as folder:
        asked = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", _CONFINEMENT, folder],
            capture_output=True,
            text=True,
            check=False,
        )
    if asked.returncode:
        reason = asked.stderr.strip().splitlines()[-1:] or ["it says nothing"]
        advice = 'Workers cannot start; workers.sandbox = "off" goes without.'
        return Finding("sandbox", "problem", reason[0], advice)
    facts = json.loads(asked.stdout)
    if not facts["gaps"]:
        return Finding(
            "sandbox", "ok", f"workers are confined: Landlock {facts['landlock']}, seccomp"
        )
    verdict: Verdict = "problem" if settings.workers.sandbox == "required" else "warning"
    return Finding("sandbox", verdict, " ".join(facts["gaps"]), "See docs/security.md.")


def _workers(settings: Settings) -> Finding:
    workers = settings.workers
    share_bytes = workers.memory_bytes // workers.first_size
    fact = f"{workers.first_size}, {size_text(share_bytes)} of memory each"
    if share_bytes < SMALL_SHARE_BYTES:
        advice = "Fewer workers (workers.size), or more workers.memory_bytes."
        return Finding("workers", "warning", fact, advice)
    return Finding("workers", "ok", fact)


def _open_files(_settings: Settings) -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fact = f"{hard} at most"
    if hard < FEW_FILES:
        return Finding("open files", "warning", fact, "Allow more: ulimit -n, or LimitNOFILE.")
    return Finding("open files", "ok", fact)


def _disk(settings: Settings) -> Finding:
    folder = settings.storage.data_dir.absolute()
    there = next(path for path in (folder, *folder.parents) if os.access(path, os.F_OK))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        advice = "Give the right to write there, or choose another with --data."
        return Finding("disk", "problem", f"{there} cannot be written", advice)
    try:
        check_layout(Layout(folder))
    except StartError as exc:
        return _refusal("disk", exc)
    room = find_room(there, Ballast(Layout(folder).ballast), settings.storage.reserve_bytes)
    fact = f"{size_text(room.free_bytes)} free at {there}"
    if room.missing_bytes:
        fact += f", {size_text(room.missing_bytes)} too little"
        reserve_bytes = settings.storage.reserve_bytes
        below = f"below storage.reserve_bytes, by these settings {size_text(reserve_bytes)}"
        advice = f"Make room: {below if reserve_bytes else 'on a full disk'}, nothing is accepted."
        return Finding("disk", "problem", fact, advice)
    return Finding("disk", "ok", fact)


def _database(settings: Settings) -> Finding:
    folder = settings.storage.data_dir.absolute()
    database, in_use = folder / DATABASE, _refuses_lock(folder) is not None
    try:
        version = examine(database, thoroughly=True, in_use=in_use)
        if version and not in_use:
            check_inputs(database)
            check_writable(database)
    except StartError as exc:
        return _refusal("database", exc)
    if not version:
        return Finding("database", "ok", f"none yet in {folder}")
    with closing(open_untouched(database)) as connection:
        (jobs,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    return Finding("database", "ok", f"sound, jobs: {jobs}")


def _refuses_lock(folder: Path) -> StartError | None:
    """Why no other server could have the folder now."""
    try:
        if folder.exists():
            DataFolderLock(folder / "lock").check()
    except StartError as exc:
        return exc
    return None


def _server(settings: Settings) -> Finding:
    folder = settings.storage.data_dir.absolute()
    refusal = _refuses_lock(folder)
    if refusal is None:
        return Finding("server", "ok", "none has this folder now")
    holder = find_server(folder)
    if holder is None:
        return _refusal("server", refusal)
    if holder.url is None:
        return Finding("server", "ok", f"process {holder.pid} has the folder, and serves nothing")
    fact = f"process {holder.pid} at {holder.url}"
    try:
        asyncio.run(_ask(holder.url))
    except TimeoutError:
        fact += f" has not answered within {ANSWER_S:g} s"
        advice = "It hangs, or is stopped: see its log and its process, then start it again."
        return Finding("server", "problem", fact, advice)
    except ClientError as exc:
        return Finding("server", "problem", f"{fact}: {exc.message}", "See what its log says.")
    return Finding("server", "ok", fact)


async def _ask(url: str) -> None:
    """Raises ClientError, and TimeoutError where no answer comes."""
    async with Client(url) as client, asyncio.timeout(ANSWER_S):
        await client.info()


def _folders(settings: Settings) -> Finding:
    if not settings.folders:
        return Finding("folders", "ok", "none is watched")
    try:
        asyncio.run(_check_folders(settings))
    except ImgsvcError as exc:
        return _refusal("folders", exc)
    results = [str(folder.path) for folder in settings.folders if is_out_folder(folder.path)]
    if results:
        advice = "Name another folders.path, or take what imgsvc keeps there away: .imgsvc."
        return Finding("folders", "problem", f"not watched, has results: {results[0]}", advice)
    absent = [str(folder.path) for folder in settings.folders if not folder.path.is_dir()]
    if absent:
        advice = "The server waits for them; mount or make them, or correct folders.path."
        return Finding("folders", "warning", f"not there: {', '.join(absent)}", advice)
    return Finding("folders", "ok", f"watched: {len(settings.folders)}")


async def _check_folders(settings: Settings) -> None:
    async with looking_up(settings.storage.data_dir.absolute()) as lookups:
        await check_folders(settings.folders, KnownPresets(lookups))


def _files(settings: Settings) -> Finding:
    folder = settings.storage.data_dir.absolute()
    try:
        check_there(folder / DATABASE)
        if not is_data_folder(folder):
            return Finding("files", "ok", f"none yet in {folder}")
        found = check_files(folder, keep_inputs=settings.storage.keep_inputs)
    except (StartError, sqlite3.Error):
        return Finding("files", "problem", "nobody knows them", "See database.")
    fact = f"{count_text(found.read, 'file')} read, {size_text(found.size_bytes)}"
    if not found.missing and not found.changed:
        return Finding("files", "ok", f"{fact}: as they were kept")
    files = {"missing": [*map(str, found.missing)], "changed": [*map(str, found.changed)]}
    fact += f", {len(found.missing)} missing, {len(found.changed)} changed"
    advice = "Take them from a backup, or submit their jobs again; see what the disk's log says."
    return Finding("files", "problem", fact, advice, files)


def _refusal(subject: str, exc: ImgsvcError) -> Finding:
    """What a start would end with; the lines below the first say what to do."""
    fact, *lines = exc.message.splitlines()
    advice = "; ".join(line.strip() for line in lines)
    return Finding(subject, "problem", fact, advice or "Until then no server starts.")


_LOOKS: tuple[Callable[[Settings], Finding], ...] = (
    _workers,
    _sandbox,
    _open_files,
    _disk,
    _database,
    _server,
    _folders,
)
