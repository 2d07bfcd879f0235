"""`imgsvc submit`: files to a server, and if wanted the results back."""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import click

from imgsvc.cli import exits
from imgsvc.cli.arguments import FILE, FOLDER, refuse_empty
from imgsvc.cli.gathering import STDIN, ToSend, gather
from imgsvc.cli.journals import find_job, open_journal
from imgsvc.cli.output import bytes_bar, count_text, json_option, print_json, say, size_text
from imgsvc.cli.progress import follow_job, save_results, say_failures
from imgsvc.cli.recipes import read_recipe_file
from imgsvc.cli.session import talks_to_server
from imgsvc.cli.stopping import read_stdin
from imgsvc.cli.webhook_addresses import say_if_not_asked
from imgsvc.client import (
    ApiError,
    BytesUpload,
    Client,
    ClientError,
    Downloaded,
    FileUpload,
    Job,
    Journal,
    LocalFileError,
    ServerUnreachable,
    Upload,
)
from imgsvc.client.download import make_folder
from imgsvc.client.sending import check_readable, name_in_job
from imgsvc.domain.logins import without_login
from imgsvc.domain.names import without_controls
from imgsvc.errors import TooManyImages
from imgsvc.files.places import takes_files


def _read_given(
    context: click.Context, _parameter: click.Parameter, paths: tuple[str, ...]
) -> tuple[tuple[str, ...], bytes]:
    """With all of stdin, where `-` is one of the paths."""
    is_meant = STDIN in paths and not context.resilient_parsing  # as for a shell's completion
    return paths, read_stdin() if is_meant else b""


@click.command()
@click.argument("given", nargs=-1, required=True, metavar="PATH...", callback=_read_given)
@click.option(
    "--preset", callback=refuse_empty, help="What to make of the images.  [default: standard]"
)
@click.option(
    "--recipe",
    type=FILE,
    help="JSON file that says what to make, in place of a preset.",
)
@click.option("--label", help="Free text by which to find the job again.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]))
@click.option("--webhook", metavar="URL", callback=refuse_empty, help="Told when the job is final.")
@click.option(
    "--list", "as_list", is_flag=True, help="PATH is a product list, whatever it is called."
)
@click.option(
    "--charset", help="Of a product list that is neither UTF-8 nor UTF-16, such as windows-1252."
)
@click.option("--no-analysis", is_flag=True, help="Leave out what the images are like.")
@click.option("--wait", is_flag=True, help="Wait until all images are done.")
@click.option(
    "--out",
    type=FOLDER,
    help="Wait, and save the results in this folder.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@json_option
@talks_to_server
async def submit(
    client: Client,
    given: tuple[tuple[str, ...], bytes],
    preset: str | None,
    recipe: Path | None,
    label: str | None,
    priority: str | None,
    webhook: str | None,
    as_list: bool,
    charset: str | None,
    no_analysis: bool,
    wait: bool,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send images to a server, as one job.

    PATH is a file, a folder (with all images below it; hidden files are left out), a pattern
    such as 'photos/**/*.jpg', or - for one image from stdin; or it is a URL, which the server
    fetches, or a product list, *.csv or *.tsv, which holds URLs (with --list under any name, or -
    from stdin). Prints the job's id.

    Many images go over several connections, and are worked on while others are still sent. A
    server that is away for a moment is waited for. Broken off, the same command again sends
    what is missing.
    """
    if preset and recipe:
        raise click.UsageError("Give either --preset or --recipe.")
    own = await asyncio.to_thread(read_recipe_file, recipe) if recipe else None
    sending = await asyncio.to_thread(gather, *given, out, as_list=as_list, charset=charset)
    spec = {
        "preset": preset,
        "recipe": own,
        "label": label,
        "priority": priority,
        "webhook": webhook,
        "analyze": False if no_analysis else None,
    }
    identity = [client.server, sending.sources, spec, charset]
    if dry_run:
        await _show_dry_run(client, sending, spec, identity, charset, as_json)
        return
    if out:
        await asyncio.to_thread(_make_out, out)
    journal = await _open_journal(identity, sending)
    with journal or nullcontext():
        job = await _send(client, sending, spec, journal, charset)
        if not as_json:
            click.echo(job["id"])
        say_if_not_asked(webhook, job["id"])
        done: Downloaded | None = None
        if wait or out:
            job, done = await _finish(client, job["id"], out, sending.files, journal)
        if journal and not (done and done.unsaved):  # else the same command saves them
            await asyncio.to_thread(journal.forget)
    if as_json:
        print_json(job)
    if await say_failures(client, job) or (done and not done.is_whole):
        sys.exit(exits.SOME_FAILED)


def _make_out(out: Path) -> None:
    """Before much is sent, and then has no place to come back to. Raises LocalFileError."""
    make_folder(out)
    if not takes_files(out):
        raise LocalFileError(out, os.strerror(errno.EACCES))


async def _ask_most(client: Client, preset: str | None, marks: Mapping[int, str]) -> int:
    """How many images the server takes in one job; without an answer no number is too many, and
    whatever is named may be there. Raises InvalidRequest and InvalidRecipe for what is not.

    marks: names of watermarks of an own recipe, by the variant's position.
    """
    try:
        most = int((await client.info())["limits"]["max_images_per_job"])
        known = [] if preset is None else await client.presets()
        presets = {each["name"]: each["recipe"] for each in known}
        if preset in presets:
            marks = await asyncio.to_thread(_find_watermarks, presets[preset])
        kept = {each["name"] for each in await client.watermarks()} if marks else set()
    except ClientError as exc:
        named = [] if preset is None else [f"a preset {preset}"]
        named += [f"a watermark {name}" for name in dict.fromkeys(marks.values())]
        there = f", or whether there is {' and '.join(named)}" if named else ""
        say(str(exc))
        say(f"So it is not known here whether so many images are taken{there}.")
        return sys.maxsize
    if preset is not None and preset not in presets:
        from imgsvc.service.presets import unknown_preset  # loads much that others do without

        raise unknown_preset(presets)
    if unknown := {number: name for number, name in marks.items() if name not in kept}:
        from imgsvc.service.watermarks import unknown_watermarks  # as does this

        raise unknown_watermarks(unknown, preset)
    return most


async def _show_dry_run(
    client: Client,
    sending: ToSend,
    spec: Mapping[str, Any],
    identity: Sequence[object],
    charset: str | None,
    as_json: bool,
) -> None:
    """Raises InvalidRecipe, InvalidRequest, InvalidCsv and TooManyImages, as the server would, and
    LocalFileError.
    """
    own = spec["recipe"]
    marks = {} if own is None else await asyncio.to_thread(_find_watermarks, own)
    most = await _ask_most(client, spec["preset"], marks)
    if sending.count > most:
        raise TooManyImages(f"A job takes at most {most} images.")
    await asyncio.to_thread(check_readable, sending.uploads)
    listed = await asyncio.to_thread(_check_list, sending, charset, most)
    _show_plan(sending, listed, as_json=as_json)
    if job_id := await asyncio.to_thread(find_job, identity):
        say(f"An earlier submit broke off: what job {job_id} has of them would not be.")


def _find_watermarks(recipe: Mapping[str, Any]) -> Mapping[int, str]:
    """Names of watermarks, by the variant's position. Raises InvalidRecipe."""
    from imgsvc.recipes.watermarks import named_watermarks
    from imgsvc.service.presets import resolve_built_in

    return named_watermarks(resolve_built_in(None, recipe)[1])


async def _open_journal(identity: Sequence[object], sending: ToSend) -> Journal | None:
    """None where there can be none. Raises LocalFileError for files that cannot be read then; else
    that is seen to where a new job is begun.
    """
    journal = await asyncio.to_thread(open_journal, identity)
    if journal is None:
        await asyncio.to_thread(check_readable, sending.uploads)
    return journal


async def _send(
    client: Client,
    sending: ToSend,
    spec: Mapping[str, Any],
    journal: Journal | None,
    charset: str | None,
) -> Job:
    earlier = journal.job_id if journal else None
    if earlier:
        say(f"Going on with job {earlier}.")
    try:
        if sending.table:
            job = await _send_list(client, sending.uploads[0], spec, journal, charset)
        else:
            with bytes_bar("Sending", sending.total_bytes) as on_sent:
                job = await client.submit(
                    sending.uploads, urls=sending.urls, **spec, journal=journal, on_sent=on_sent
                )
    except (asyncio.CancelledError, ClientError) as exc:
        if journal and journal.job_id:
            say("What was sent is safe. The same command again sends the rest.")
        elif journal and isinstance(exc, ApiError) and exc.code == "idempotency_mismatch":
            await asyncio.to_thread(journal.forget)  # whatever else is said, it may have arrived
        elif journal and isinstance(exc, asyncio.CancelledError):
            say("The same command again goes on from here.")
        raise
    if sending.table:
        if job["id"] != earlier:
            say(f"Sent {sending.uploads[0].name}: {count_text(job['total'], 'image')} to fetch.")
        return job
    count = _amount(sending, "image")
    say(f"All of {count} have arrived." if job["id"] == earlier else f"Sent {count}.")
    if (more := job["total"] - sending.count) > 0:
        say(f"The job has {more} more, sent before: files that were changed or removed since.")
    return job


async def _send_list(
    client: Client,
    table: Upload,
    spec: Mapping[str, Any],
    journal: Journal | None,
    charset: str | None,
) -> Job:
    options = {**spec, "webhook_url": spec["webhook"], "webhook": None}
    content = table.path if isinstance(table, FileUpload) else table.data
    return await client.submit_list(content, charset=charset, journal=journal, **options)


def _show_plan(sending: ToSend, listed: Mapping[str, int] | None, *, as_json: bool) -> None:
    """What would be sent. listed: how much is in a product list."""
    if as_json:
        images = [{"name": u.name, "path": None, "url": without_login(u.url)} for u in sending.urls]
        images += [
            {
                "name": name_in_job(u.name),
                "path": str(u.path) if isinstance(u, FileUpload) else None,
                "url": None,
            }
            for u in sending.uploads
        ]
        print_json({"images": images, "list": listed, "total_bytes": sending.total_bytes})
        return
    for url in sending.urls:
        click.echo(without_controls(without_login(url.url)))
    for upload in sending.uploads:
        click.echo(without_controls(name_in_job(upload.name)))
    say(f"{_amount(sending, 'product list' if sending.table else 'image')} would be sent.")


def _amount(sending: ToSend, noun: str) -> str:
    """`2 images (1.5 kB) and 1 URL`, whose image the server is yet to fetch."""
    parts = []
    if sending.uploads:
        count = count_text(len(sending.uploads), noun)
        parts.append(f"{count} ({size_text(sending.total_bytes)})")
    if sending.urls:
        parts.append(count_text(len(sending.urls), "URL"))
    return " and ".join(parts)


def _check_list(sending: ToSend, charset: str | None, most: int) -> Mapping[str, int] | None:
    """Read a product list, if it is one, as the server would, and say how many it has. Raises
    InvalidCsv and TooManyImages.
    """
    if not sending.table:
        return None
    from imgsvc.intake.product_list import ListReader  # loads much that others do without

    (table,) = sending.uploads
    with NamedTemporaryFile() as copy:
        file = table.path if isinstance(table, FileUpload) else Path(copy.name)
        if isinstance(table, BytesUpload):
            copy.write(table.data)
            copy.flush()
        try:
            reader = ListReader(file, charset, max_images=most)
            reader.check()
            counts = [len(product.urls) for product in reader.products()]
        except OSError as exc:
            raise click.UsageError(f"{file} cannot be read: {exc.strerror}.") from exc
    products, images = count_text(len(counts), "product"), count_text(sum(counts), "image")
    say(f"{table.name} has {products} with {images}.")
    return {"products": len(counts), "images": sum(counts)}


async def _finish(
    client: Client,
    job_id: str,
    out: Path | None,
    files: Collection[Path],
    journal: Journal | None,
) -> tuple[Job, Downloaded | None]:
    """The job as it ended, and what was saved of it, if anything was to be."""
    saving = f"imgsvc download {job_id} --out {shlex.quote(str(out)) if out else 'DIR'}"
    try:
        job = await follow_job(client, job_id)
        done = await save_results(client, job_id, out, protected=files) if out else None
    except asyncio.CancelledError:
        say(f"The server goes on with it: imgsvc status {job_id} --follow")
        raise
    except ClientError as exc:
        if journal and isinstance(exc, ServerUnreachable):
            say(f"The job is {job_id}. The same command again goes on with it.")
        elif not isinstance(exc, ApiError) or exc.code != "not_found":
            say(f"The job is {job_id}. To save its results: {saving}")
        raise
    if done and done.unsaved:
        say(f"The job is {job_id}. To save them later: {saving}")
    return job, done
