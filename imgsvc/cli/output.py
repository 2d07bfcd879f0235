"""What is shown: data on stdout; messages, tables of progress and bars on stderr.

Names come from strangers: whatever is shown of them carries no control characters, and
is never read as markup.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from imgsvc.domain.input_names import without_surrogates
from imgsvc.domain.names import without_controls

if TYPE_CHECKING:
    from rich.console import OverflowMethod
    from rich.progress import ProgressColumn

GAP_CHARS = 2
"""Between the columns of a table."""

PROSE_CHARS = 12
"""How narrow a column of free text may be, beside others that are whole."""


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document to stdout."
)


def print_json(document: object) -> None:
    """To stdout."""
    click.echo(json_text(document, indent=2))


def json_text(document: object, *, indent: int | None = None) -> str:
    """In ASCII, so that no terminal and no pipe can take it amiss; names and paths that are not
    UTF-8 are as they are in jobs, as no reader has to take halves of surrogate pairs.
    """
    plain = without_surrogates(json.dumps(document, ensure_ascii=False))
    return json.dumps(json.loads(plain), indent=indent)


def say(message: str) -> None:
    """A line to stderr."""
    click.echo(without_controls(message), err=True)


def report_deleted(what: dict[str, str], *, as_json: bool) -> None:
    """what: its id or name, by the key that it has in other documents."""
    if as_json:
        print_json({**what, "deleted": True})
    else:
        say("Deleted.")


def print_rows(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    yielding: Sequence[str] = (),
    prose: str | None = None,
) -> None:
    """To stdout: a table on a terminal, else tab-separated lines without headers.

    yielding: headers of columns that are left out of a table, one after the other, until the rest
        has room; that stays whole, but for `prose`, which is broken into lines. With none of them
        whatever is too wide is broken.
    """
    clean = [[without_controls(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in clean:
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    shown = choose_columns([headers, *clean], console.width, yielding, prose)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place in shown:
        # what is to be copied stays whole
        is_whole = place == 0 or (bool(yielding) and headers[place] != prose)
        overflow: OverflowMethod = "ellipsis" if is_whole else "fold"
        table.add_column(headers[place], no_wrap=is_whole, overflow=overflow)
    for row in clean:
        table.add_row(*(Text(row[place]) for place in shown))
    console.print(table)


def choose_columns(
    rows: Sequence[Sequence[str]], width: int, yielding: Sequence[str], prose: str | None
) -> list[int]:
    """Places of the columns that have room side by side; one that is empty gives way first.

    rows: the headers first. width: of the terminal, in characters.
    """
    from rich.cells import cell_len

    headers, columns = rows[0], list(zip(*rows, strict=True))
    widths = [max(map(cell_len, column)) for column in columns]
    if prose is not None:
        place = headers.index(prose)
        widths[place] = min(widths[place], PROSE_CHARS)
    shown = list(range(len(headers)))
    places = sorted(map(headers.index, yielding), key=lambda place: any(columns[place][1:]))
    for place in places:
        if sum(widths[place] + GAP_CHARS for place in shown) - GAP_CHARS <= width:
            break
        shown.remove(place)
    return shown


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """To stdout: one fact a line, aligned."""
    width = max(len(label) for label, _ in facts)
    for label, value in facts:
        click.echo(f"{label:<{width}}  {without_controls(value)}")


def time_text(rfc3339: str | None) -> str:
    """To the minute on a terminal, where there is little room; whole for a script."""
    text = rfc3339 or ""
    return text[:16].replace("T", " ") if sys.stdout.isatty() else text


def size_text(size_bytes: int) -> str:
    """`1536` becomes `1.5 kB`; powers of 1000, as file managers count."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def count_text(count: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@contextmanager
def bytes_bar(label: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, if that is a terminal, to be told how many bytes are done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import DownloadColumn, TransferSpeedColumn

    with _bar(label, DownloadColumn(), TransferSpeedColumn()) as show:
        yield lambda done_bytes: show(done_bytes, total_bytes, "")


@contextmanager
def count_bar(label: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr, if that is a terminal, to be told done, total, and a remark."""
    if not sys.stderr.isatty():
        yield lambda _done, _total, _remark: None
        return
    from rich.progress import MofNCompleteColumn, TextColumn

    remark = TextColumn("{task.fields[remark]}", markup=False)
    with _bar(label, MofNCompleteColumn(), remark) as show:
        yield show


@contextmanager
def _bar(label: str, *columns: ProgressColumn) -> Iterator[Callable[[int, int, str], None]]:
    """A bar that appears when it is first told something."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn(f"{label:<11}", markup=False),
        BarColumn(),
        *columns,
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
    )
    task = bar.add_task(label, total=None, remark="")

    def show(done: int, total: int, remark: str) -> None:
        bar.start()
        bar.update(task, completed=done, total=total, remark=remark)

    try:
        yield show
    finally:
        bar.stop()


def variant_text(variant: dict[str, Any]) -> str:
    """A variant in a few words: `thumbnail 200x200 fit webp q85`."""
    words = [variant["name"]]
    width, height = variant.get("width"), variant.get("height")
    if width or height:
        words.append(f"{width or ''}x{height or ''}")
    if width and height:
        words.append(variant.get("mode", "fit"))
    if variant.get("grayscale"):
        words.append("grey")
    words.append(variant.get("format", "same"))
    if variant.get("quality"):
        words.append(f"q{variant['quality']}")
    return " ".join(words)
