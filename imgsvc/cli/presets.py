"""`imgsvc presets`: recipes with a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from imgsvc.cli.arguments import FILE_OR_STDIN, name_argument
from imgsvc.cli.listing import Listing
from imgsvc.cli.output import (
    json_option,
    print_facts,
    print_json,
    print_rows,
    report_deleted,
    say,
    variant_text,
)
from imgsvc.cli.recipes import read_preset_file
from imgsvc.cli.session import talks_to_server
from imgsvc.client import Client, Preset


@click.group(cls=Listing)
def presets() -> None:
    """Recipes with a name: built-in ones, and own ones that a server keeps.

    Without a command they are listed; options for that are those of `presets list`.
    """


@presets.command("list")
@json_option
@talks_to_server
async def list_presets(client: Client, as_json: bool) -> None:
    """List the presets of a server, and what each makes of an image."""
    found = await client.presets()
    if as_json:
        print_json(found)
        return
    print_rows(
        ("Name", "Kind", "Makes"),
        [(preset["name"], _kind(preset), ", ".join(_makes(preset))) for preset in found],
    )


@presets.command()
@name_argument
@json_option
@talks_to_server
async def show(client: Client, name: str, as_json: bool) -> None:
    """Show a preset; with --json, whole, as `presets save` takes it."""
    preset = await client.preset(name)
    if as_json:
        print_json(preset)
        return
    first, *others = _makes(preset)
    facts = [
        ("Preset", preset["name"]),
        ("Kind", _kind(preset)),
        ("Makes", first),
        *(("", variant) for variant in others),
        ("Changed", preset["updated_at"] or ""),
    ]
    print_facts([(label, value) for label, value in facts if value])


def _read_recipe(
    context: click.Context, _parameter: click.Parameter, file: Path
) -> dict[str, Any] | None:
    """None where a shell only looks for what may follow."""
    return None if context.resilient_parsing else read_preset_file(file)


@presets.command()
@name_argument
@click.argument(
    "recipe",
    metavar="FILE",
    type=FILE_OR_STDIN,
    callback=_read_recipe,
)
@json_option
@talks_to_server
async def save(client: Client, name: str, recipe: dict[str, Any], as_json: bool) -> None:
    """Give a recipe a name; an own preset that has it is replaced.

    FILE is JSON, - for stdin: a recipe, or what `presets show --json` printed of any preset.
    Jobs that were submitted keep the recipe they had.
    """
    preset = await client.save_preset(name, recipe)
    if as_json:
        print_json(preset)
    else:
        say(f"Saved {preset['name']}: {', '.join(_makes(preset))}.")


@presets.command()
@name_argument
@json_option
@talks_to_server
async def delete(client: Client, name: str, as_json: bool) -> None:
    """Delete an own preset; jobs that were submitted with it are not touched."""
    await client.delete_preset(name)
    report_deleted({"name": name}, as_json=as_json)


def _kind(preset: Preset) -> str:
    return "built-in" if preset["readonly"] else "own"


def _makes(preset: Preset) -> list[str]:
    return [variant_text(variant) for variant in preset["recipe"]["variants"]]
