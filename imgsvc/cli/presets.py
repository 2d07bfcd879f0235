"""`imgsvc presets`: recipes with a name."""

from __future__ import annotations

import click

from imgsvc.cli.output import json_option, print_json, print_rows, variant_text
from imgsvc.cli.session import talks_to_server
from imgsvc.client import Client


@click.command()
@json_option
@talks_to_server
async def presets(client: Client, as_json: bool) -> None:
    """List the presets of a server, and what each makes of an image."""
    found = await client.presets()
    if as_json:
        print_json(found)
        return
    print_rows(
        ("Name", "Makes"),
        [
            (preset["name"], ", ".join(variant_text(v) for v in preset["recipe"]["variants"]))
            for preset in found
        ],
    )
