"""`imgsvc watermarks`: pictures that recipes lay over others."""

from __future__ import annotations

from pathlib import Path

import click

from imgsvc.cli.arguments import FILE, name_argument
from imgsvc.cli.listing import Listing
from imgsvc.cli.output import (
    json_option,
    print_facts,
    print_json,
    print_rows,
    report_deleted,
    say,
    size_text,
    time_text,
)
from imgsvc.cli.session import talks_to_server
from imgsvc.client import Client, Watermark


@click.group(cls=Listing)
def watermarks() -> None:
    """Pictures that a server keeps by name, for recipes to lay over others.

    Without a command they are listed; options for that are those of `watermarks list`.
    """


@watermarks.command("list")
@json_option
@talks_to_server
async def list_watermarks(client: Client, as_json: bool) -> None:
    """List the watermarks of a server."""
    found = await client.watermarks()
    if as_json:
        print_json(found)
        return
    print_rows(
        ("Name", "Pixels", "Size", "Changed"),
        [
            (mark["name"], _pixels(mark), size_text(mark["size_bytes"]), _changed(mark))
            for mark in found
        ],
    )


@watermarks.command()
@name_argument
@json_option
@talks_to_server
async def show(client: Client, name: str, as_json: bool) -> None:
    """Show what is kept under a name."""
    mark = await client.watermark(name)
    if as_json:
        print_json(mark)
        return
    print_facts(
        [
            ("Watermark", mark["name"]),
            ("Pixels", _pixels(mark)),
            ("Size", size_text(mark["size_bytes"])),
            ("SHA-256", mark["sha256"]),
            ("Changed", mark["updated_at"]),
        ]
    )


@watermarks.command()
@name_argument
@click.argument("file", type=FILE)
@json_option
@talks_to_server
async def save(client: Client, name: str, file: Path, as_json: bool) -> None:
    """Keep a picture under a name; the one that has it is replaced.

    FILE may be in any format that the server reads. It is kept as PNG, at most 2048 pixels a
    side. Jobs that were submitted keep the picture they had.
    """
    mark = await client.save_watermark(name, file)
    if as_json:
        print_json(mark)
    else:
        say(f"Saved {mark['name']}, {_pixels(mark)}, {size_text(mark['size_bytes'])}.")


@watermarks.command()
@name_argument
@json_option
@talks_to_server
async def delete(client: Client, name: str, as_json: bool) -> None:
    """Delete a watermark; jobs that were submitted with it are not touched."""
    await client.delete_watermark(name)
    report_deleted({"name": name}, as_json=as_json)


def _pixels(mark: Watermark) -> str:
    return f"{mark['width']}x{mark['height']}"


def _changed(mark: Watermark) -> str:
    return time_text(mark["updated_at"])
