"""`imgsvc status`, `list`, `download`: jobs that a server has."""

from __future__ import annotations

import sys
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path

import click

from imgsvc.cli import exits
from imgsvc.cli.arguments import FOLDER, job_argument, refuse_empty
from imgsvc.cli.output import (
    json_option,
    print_facts,
    print_json,
    print_rows,
    say,
    size_text,
    time_text,
    variant_text,
)
from imgsvc.cli.progress import (
    final_images,
    follow_job,
    remark,
    save_results,
    say_failures,
    say_waiting,
)
from imgsvc.cli.session import talks_to_server
from imgsvc.client import Client, Job

STATUSES = ("pending", "processing", "completed", "partial", "failed", "cancelled")


@click.command()
@job_argument
@click.option("--follow", is_flag=True, help="Wait until all images are done.")
@json_option
@talks_to_server
async def status(client: Client, job_id: str, follow: bool, as_json: bool) -> None:
    """Show a job. The exit code is 1 when images of it failed."""
    job = await (follow_job(client, job_id) if follow else client.job(job_id))
    if as_json:
        print_json(job)
    else:
        print_facts(_facts(job))
        await say_waiting(client, job)
    if await say_failures(client, job):
        sys.exit(exits.SOME_FAILED)


@click.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only jobs in this state.")
@click.option("--label", callback=refuse_empty, help="Only jobs with this label.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@json_option
@talks_to_server
async def list_jobs(
    client: Client, status: str | None, label: str | None, limit: int, as_json: bool
) -> None:
    """List jobs, newest first."""
    found: list[Job] = []
    async with aclosing(client.jobs(status=status, label=label)) as jobs:
        async for job in jobs:
            found.append(job)
            if len(found) == limit:
                break
    if as_json:
        print_json(found)
        return
    print_rows(
        ("ID", "Status", "Done", "Failed", "Created", "Expires", "Label"),
        [
            (
                job["id"],
                job["status"],
                f"{final_images(job)}/{job['total']}",
                str(job["failed"]),
                time_text(job["created_at"]),
                time_text(job["expires_at"]),
                job["label"] or "",
            )
            for job in found
        ],
        yielding=("Expires", "Failed", "Created", "Label", "Done", "Status"),
        prose="Label",
    )


@click.command()
@job_argument
@click.option(
    "--out",
    required=True,
    type=FOLDER,
    help="Folder to save them in.",
)
@click.option("--zip", "as_zip", is_flag=True, help="Save them as one ZIP file, ID.zip.")
@json_option
@talks_to_server
async def download(client: Client, job_id: str, out: Path, as_zip: bool, as_json: bool) -> None:
    """Save the finished files of a job.

    Files that are in the folder already, with the same bytes, are not fetched again. The exit
    code is 1 when images of the job failed, or files of it are lost, or cannot be saved because
    something else stands there.
    """
    if as_zip:
        document = await _save_archive(client, job_id, out)
    else:
        document = asdict(await save_results(client, job_id, out))
    job = await client.job(job_id)
    if as_json:
        print_json({"job_id": job_id, **document})
    missing = job["total"] - final_images(job)
    if missing:
        say(f"{missing} of {job['total']} images are not done yet; run this again for the rest.")
    if await say_failures(client, job) or document.get("lost") or document.get("unsaved"):
        sys.exit(exits.SOME_FAILED)


async def _save_archive(client: Client, job_id: str, out: Path) -> dict[str, object]:
    path = out / f"{job_id}.zip"
    saved_bytes = await client.download_archive(job_id, path)
    say(f"Saved {path}, {size_text(saved_bytes)}.")
    return {"path": str(path), "saved_bytes": saved_bytes}


def _facts(job: Job) -> list[tuple[str, str]]:
    rest = remark(job)
    progress = f"{final_images(job)} of {job['total']} images, {job['progress']:.1f} %"
    facts = [
        ("Job", job["id"]),
        ("Status", job["status"]),
        ("Progress", f"{progress} ({rest})" if rest else progress),
        ("Recipe", job["preset"] or "own"),
        *(("", variant_text(variant)) for variant in job["recipe"]["variants"]),
        ("Received", size_text(job["input_bytes"])),
        ("Made", size_text(job["output_bytes"])),
        ("Label", job["label"] or ""),
        ("Created", job["created_at"]),
        ("Finished", job["finished_at"] or ""),
        ("Expires", job["expires_at"] or ""),
    ]
    return [(label, value) for label, value in facts if value]
