"""`imgsvc cancel`, `retry`, `delete`: changing one's mind about a job."""

from __future__ import annotations

import click

from imgsvc.cli.arguments import job_argument
from imgsvc.cli.output import count_text, json_option, print_json, report_deleted, say
from imgsvc.cli.session import talks_to_server
from imgsvc.client import Client


@click.command()
@job_argument
@json_option
@talks_to_server
async def cancel(client: Client, job_id: str, as_json: bool) -> None:
    """Cancel what is left of a job; finished files stay."""
    job = await client.cancel(job_id)
    if as_json:
        print_json(job)
    else:
        cancelled = count_text(job["cancelled"], "image")
        say(f"The job's status is {job['status']}; {cancelled} cancelled.")


@click.command()
@job_argument
@json_option
@talks_to_server
async def retry(client: Client, job_id: str, as_json: bool) -> None:
    """Try failed and cancelled images of a job again."""
    job = await client.retry(job_id)
    if as_json:
        print_json(job)
        return
    left = job["total"] - job["completed"] - job["failed"] - job["cancelled"]
    say(f"The job's status is {job['status']}; {count_text(left, 'image')} to be done.")


@click.command()
@job_argument
@json_option
@talks_to_server
async def delete(client: Client, job_id: str, as_json: bool) -> None:
    """Delete a job with all its files; what still runs is thrown away."""
    await client.delete(job_id)
    report_deleted({"id": job_id}, as_json=as_json)
