"""`imgsvc submit`: files to a server, and if wanted the results back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from imgsvc.cli import exits
from imgsvc.cli.inputs import find_files
from imgsvc.cli.output import bytes_bar, count_text, print_json, say, size_text
from imgsvc.cli.progress import follow_job, save_results, say_failures
from imgsvc.cli.recipes import read_recipe_file
from imgsvc.cli.session import json_option, talks_to_server
from imgsvc.client import BytesUpload, Client, ClientError, FileUpload, Job, Upload

STDIN = "-"


@dataclass(frozen=True, slots=True)
class _Sending:
    """What is to be sent, and the files of this machine that it is read from."""

    uploads: Sequence[Upload]
    files: Collection[Path]
    total_bytes: int


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--preset", help="What to make of the images.  [default: standard]")
@click.option(
    "--recipe",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file that says what to make, in place of a preset.",
)
@click.option("--label", help="Free text by which to find the job again.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]))
@click.option("--wait", is_flag=True, help="Wait until all images are done.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Wait, and save the results in this folder.",
)
@json_option
@talks_to_server
async def submit(
    client: Client,
    paths: tuple[str, ...],
    preset: str | None,
    recipe: Path | None,
    label: str | None,
    priority: str | None,
    wait: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Send images to a server, as one job.

    PATH is a file, a folder (with all images below it; hidden files are left out), a pattern
    such as 'photos/**/*.jpg', or - for one image from stdin. Prints the job's id.
    """
    if preset and recipe:
        raise click.UsageError("Give either --preset or --recipe.")
    own = await asyncio.to_thread(read_recipe_file, recipe) if recipe else None
    sending = await asyncio.to_thread(_gather, paths, out)
    with bytes_bar("Sending", sending.total_bytes) as on_sent:
        job = await client.submit(
            sending.uploads,
            preset=preset,
            recipe=own,
            label=label,
            priority=priority,
            on_sent=on_sent,
        )
    say(f"Sent {count_text(job['total'], 'image')}, {size_text(sending.total_bytes)}.")
    if not as_json:
        click.echo(job["id"])
    if wait or out:
        job = await _finish(client, job["id"], out, sending.files)
    if as_json:
        print_json(job)
    if await say_failures(client, job):
        sys.exit(exits.SOME_FAILED)


async def _finish(client: Client, job_id: str, out: Path | None, files: Collection[Path]) -> Job:
    try:
        job = await follow_job(client, job_id)
        if out:
            await save_results(client, job_id, out, protected=files)
    except asyncio.CancelledError:
        say(f"The server goes on with it: imgsvc status {job_id} --follow")
        raise
    except ClientError:
        say(f"The job is {job_id}. To save its results: imgsvc download {job_id} --out DIR")
        raise
    return job


def _gather(paths: Sequence[str], out: Path | None) -> _Sending:
    named = [path for path in paths if path != STDIN]
    found = find_files(named, leave_out=out) if named else []
    uploads: list[Upload] = [FileUpload(file.path, file.name) for file in found]
    total_bytes = sum(file.size_bytes for file in found)
    if len(named) < len(paths):
        data = sys.stdin.buffer.read()
        uploads.append(BytesUpload(data, "stdin"))
        total_bytes += len(data)
    return _Sending(uploads, [file.path for file in found], total_bytes)
