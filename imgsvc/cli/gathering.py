"""What `submit` was given: images, URLs, stdin or a product list."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from imgsvc.cli.inputs import (
    LIST_HEAD_BYTES,
    begins_as_list,
    find_files,
    find_list,
    is_list,
    is_url,
    say_left_out,
)
from imgsvc.client import BytesUpload, FileUpload, Upload, UrlUpload
from imgsvc.domain.input_names import name_of_url

STDIN = "-"

SPREADSHEETS = (".xlsx", ".xls", ".ods")
"""Endings of what holds product lists, and is none."""


@dataclass(frozen=True, slots=True)
class ToSend:
    """What is to be sent, and the files of this machine that it is read from.

    sources: the paths and URLs that were given, as they are the same from everywhere; what is sent
        as it now is, from stdin or as a list, by its bytes.
    table: the one upload is a product list.
    """

    uploads: Sequence[Upload]
    urls: Sequence[UrlUpload]
    files: Collection[Path]
    total_bytes: int
    sources: Sequence[str]
    table: bool = False

    @property
    def count(self) -> int:
        return len(self.urls) + len(self.uploads)


def gather(
    paths: Sequence[str], stdin: bytes, out: Path | None, *, as_list: bool, charset: str | None
) -> ToSend:
    """What the paths lead to; of stdin, these bytes. Blocking. Raises click.UsageError."""
    if lists := [path for path in paths if as_list or is_list(path)]:
        if paths == (STDIN,):
            return _take_list(BytesUpload(stdin, "stdin"), stdin)
        tables = [Path(lists[0])]
        if not tables[0].exists():
            tables = [file.path for file in find_files(lists[:1])]  # a pattern
        if len(paths) > 1 or len(tables) > 1:
            raise click.UsageError(f"{tables[0]} is a product list, which is a job of its own.")
        return _gather_list(tables[0])
    if charset:
        raise click.UsageError("--charset is for a product list.")
    if sheet := next((path for path in paths if path.lower().endswith(SPREADSHEETS)), None):
        raise click.UsageError(f"{sheet} is a spreadsheet: save it as CSV, and submit that.")
    urls = [UrlUpload(path, name_of_url(path)) for path in paths if is_url(path)]
    given = [path for path in paths if not is_url(path)]
    named = [path for path in given if path != STDIN]
    left_out: list[Path] = []
    found = find_files(named, leave_out=out, left_out=left_out) if named else []
    say_left_out(left_out)
    if table := find_list(found):
        raise click.UsageError(f"{table} is a product list: give --list with it.")
    uploads: list[Upload] = [FileUpload(file.path, file.name) for file in found]
    total_bytes = sum(file.size_bytes for file in found)
    sources = [*(url.url for url in urls), *(str(Path(path).absolute()) for path in named)]
    if len(named) < len(given):
        if begins_as_list(stdin[:LIST_HEAD_BYTES]):
            raise click.UsageError("On stdin is a product list: give --list with it.")
        uploads.append(BytesUpload(stdin, "stdin"))
        total_bytes += len(stdin)
        sources.append(hashlib.sha256(stdin).hexdigest())
    return ToSend(uploads, urls, [file.path for file in found], total_bytes, sources)


def _gather_list(table: Path) -> ToSend:
    if table.is_dir():
        raise click.UsageError(f"{table} is a folder, and no product list.")
    try:
        data = table.read_bytes()
    except OSError as exc:
        raise click.UsageError(f"{table} cannot be read: {exc.strerror}.") from exc
    if table.is_file():
        return _take_list(FileUpload(table, table.name), data, [table])
    return _take_list(BytesUpload(data, table.name), data)  # a pipe can be read once only


def _take_list(upload: Upload, data: bytes, files: Collection[Path] = ()) -> ToSend:
    sources = [hashlib.sha256(data).hexdigest()]
    return ToSend([upload], [], files, len(data), sources, table=True)
