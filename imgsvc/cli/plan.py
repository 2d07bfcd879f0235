"""`imgsvc plan`: what would be done with a file, step by step."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgsvc.cli.arguments import FILE_OR_STDIN, NamedPath
from imgsvc.cli.output import json_option, print_json, size_text
from imgsvc.cli.recipes import read_preset_file
from imgsvc.config import load_settings
from imgsvc.domain.rendering import DecodeLimits
from imgsvc.service.presets import resolve_built_in

if TYPE_CHECKING:
    from imgsvc.imaging.description import DecodeStory, PlanStory


@click.command()
@click.argument("file", type=NamedPath(exists=True, dir_okay=False, path_type=Path))
@click.option("--preset", help="A built-in preset.  [default: standard]")
@click.option(
    "--recipe",
    type=FILE_OR_STDIN,
    help="JSON file with a recipe, in place of a preset; - for stdin.",
)
@json_option
def plan(file: Path, preset: str | None, recipe: Path | None, as_json: bool) -> None:
    """Show what would be done with FILE: what is decoded, and how each variant is made of it.

    Nothing is written.
    """
    if preset and recipe:
        raise click.UsageError("Give either --preset or --recipe.")
    from imgsvc.imaging.description import tell_plan  # loads libvips

    document = read_preset_file(recipe) if recipe else None
    _, chosen = resolve_built_in(preset, document, pointer="")
    limits = load_settings().limits
    try:
        story = tell_plan(file, chosen, DecodeLimits(limits.max_pixels, limits.max_frames))
    except OSError as exc:
        raise click.FileError(str(file), exc.strerror) from exc
    if as_json:
        print_json(asdict(story))
    else:
        _print(file, story)


def _print(file: Path, story: PlanStory) -> None:
    picture = f"{story.format} {story.width}x{story.height}"
    if story.frames > 1:
        picture += f", {story.frames} frames"
    if story.orientation > 1:
        picture += f", turned upright (EXIF orientation {story.orientation})"
    click.echo(f"{file}: {picture}; at most {size_text(story.memory_bytes)} of memory")
    for number, decode in enumerate(story.decodes, start=1):
        click.echo(f"decode {number}: {_tell(decode)}")
        widest = max(len(variant.name) for variant in decode.variants)
        for variant in decode.variants:
            size = f"{variant.width}x{variant.height}"
            click.echo(f"  {variant.name:{widest}}  {size:>11}  {' > '.join(variant.steps)}")


def _tell(decode: DecodeStory) -> str:
    part = "the whole picture"
    if decode.part is not None:
        left, top, width, height = decode.part
        part = f"{width}x{height} at {left},{top}"
    shrink = f", shrunk by {decode.shrink:g} in the decoder" if decode.shrink > 1 else ""
    colours = "in the colours of its profile" if decode.profile == "kept" else "in sRGB"
    return f"{part}{shrink}, kept at {decode.width}x{decode.height} {colours}"
