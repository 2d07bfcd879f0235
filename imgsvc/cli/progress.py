"""A job's way to its end, and its results to a folder, as seen on a terminal."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import aclosing, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

from imgsvc.cli.output import count_bar, count_text, say, size_text
from imgsvc.client import (
    ApiError,
    Client,
    ClientError,
    Downloaded,
    Image,
    Job,
    ResultsLost,
    ResultsUnsaved,
)
from imgsvc.client.answers import FINAL_STATUSES, ImageProblem
from imgsvc.client.client import PAGE_OF_IMAGES
from imgsvc.domain.logins import without_login

MAX_FAILURES_SHOWN = 20
MAX_TROUBLES_SHOWN = 5

_PASSING = frozenset({"worker_crashed", "timeout", "fetch_failed", "fetch_timeout"})
"""Codes of failures that need not be the image's own fault."""

_NOT_READY = {
    "storage_full": "The server waits for disk space: until there is more it takes nothing new and "
    "fetches nothing.",
    "database_not_writable": "The server cannot write to its database at the moment.",
    "draining": "The server is stopping. It goes on when it is started again.",
}

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_AS_OF = re.compile(rf"{_MOMENT.pattern}|\b\d+ times\b")
"""What changes in the message of a trouble that goes on: until when, and how often."""


async def follow_job(client: Client, job_id: str) -> Job:
    """Show a bar until the job is final. Returns it as it then is."""
    with count_bar("Processing") as show:
        async with aclosing(client.follow(job_id)) as messages:
            async for message in messages:
                job = message["job"]
                show(final_images(job), job["total"], remark(job))
                if message["type"] == "end":
                    if final_images(job) < job["total"]:
                        raise ApiError("not_found", HTTPStatus.NOT_FOUND, "The job was deleted.")
                    return cast("Job", job)
    raise ClientError("The job's progress ended before the job did.")


async def save_results(
    client: Client, job_id: str, out: Path, protected: Collection[Path] = ()
) -> Downloaded:
    """Show a bar while the finished files are saved, then say what was done and what is missing."""
    with count_bar("Saving") as show:
        try:
            done = await client.download(
                job_id,
                out,
                protected=protected,
                on_file=lambda d: show(d.dealt_with, d.total, ""),
            )
        except (ResultsLost, ResultsUnsaved) as exc:
            done = exc.done
    there = f", {done.skipped} there already" if done.skipped else ""
    say(f"Saved {count_text(done.saved, 'file')} in {out}, {size_text(done.saved_bytes)}{there}.")
    if done.lost:
        say(f"{count_text(len(done.lost), 'file')} lost or damaged on the server:")
        for target in sorted(done.lost):
            say(f"  {target}")
    if done.unsaved:
        say(f"{count_text(len(done.unsaved), 'file')} cannot be saved:")
        for target, reason in sorted(done.unsaved.items()):
            say(f"  {out / target}: {reason}")
    return done


async def say_waiting(client: Client, job: Job) -> None:
    """What has to pass before images are tried again, such as a host that is left alone; of one
    page of those that wait, as ten thousand would take seconds. And what the whole server waits
    for.
    """
    if job["status"] in FINAL_STATUSES:
        return
    await _say_not_ready(client)
    seen: list[ImageProblem | None] = []
    async with aclosing(client.images(job["id"], status="pending")) as images:
        async for image in images:
            seen.append(image["last_error"])
            if len(seen) == PAGE_OF_IMAGES:
                break
    troubles = _group(filter(None, seen))
    for trouble, count in troubles[:MAX_TROUBLES_SHOWN]:
        say(f"{count_text(count, 'image')} to be tried again: {trouble}")
    if troubles and len(seen) == PAGE_OF_IMAGES < job["total"] - final_images(job):
        say(f"What they wait for was looked up for the first {PAGE_OF_IMAGES} images only.")


async def _say_not_ready(client: Client) -> None:
    """A server that does not say it, as behind some proxies, has answered for the job all the
    same.
    """
    with suppress(ClientError):
        for problem in await client.problems():
            say(_NOT_READY.get(problem, f"The server is not ready: {problem}."))


def _group(errors: Iterable[ImageProblem]) -> list[tuple[str, int]]:
    """Troubles, and how many images have each, the most common first.

    A host that is left alone again is one trouble, until the last moment that an image was told.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for error in errors:
        message = error["message"]
        groups[error["code"], _AS_OF.sub("", message)].append(message)
    troubles = [
        (f"{max(messages, key=_MOMENT.findall)} ({code})", len(messages))
        for (code, _), messages in groups.items()
    ]
    return sorted(troubles, key=lambda trouble: trouble[1], reverse=True)


async def say_failures(client: Client, job: Job) -> bool:
    """Name the images that were not made, and why. Returns whether there are any."""
    if job["cancelled"]:
        say(f"{count_text(job['cancelled'], 'image')} cancelled.")
    if job["failed"]:
        say(f"{count_text(job['failed'], 'image')} failed:")
        if await _name_failures(client, job):
            say(f"Another try may help some of them: imgsvc retry {job['id']}")
    return bool(job["failed"] or job["cancelled"])


async def _name_failures(client: Client, job: Job) -> bool:
    """Returns whether another try may help one of them; of those not named it says their code."""
    shown = 0
    may_pass = False
    async with aclosing(client.images(job["id"], status="failed")) as images:
        async for image in images:
            if shown == MAX_FAILURES_SHOWN:
                url = f"{without_login(client.server)}{job['links']['images']}?status=failed"
                say(f"  … and {job['failed'] - shown} more, see {url}")
                return may_pass or not _PASSING.isdisjoint(job["errors"])
            shown += 1
            may_pass |= _may_pass(image)
            error = image["error"] or {"code": "internal", "message": ""}
            say(f"  {_origin(image)}: {error['message']} ({error['code']})")
    return may_pass


def _origin(image: Image) -> str:
    """The name, and where the server has it from: of many URLs the names may be the same."""
    url = image["source"]["url"]
    return f"{image['name']} from {without_login(url)}" if url else image["name"]


def _may_pass(image: Image) -> bool:
    """What the server had fetched once, and did not try again, the host refuses for good."""
    code = image["error"] and image["error"]["code"]
    return code in _PASSING and not (code == "fetch_failed" and image["attempts"] == 1)


def final_images(job: Mapping[str, Any]) -> int:
    return int(job["completed"] + job["failed"] + job["cancelled"])


def remark(job: Mapping[str, Any]) -> str:
    """What a bar says beside the count: `2 failed`, or nothing."""
    parts = [f"{job[key]} {key}" for key in ("failed", "cancelled") if job[key]]
    return ", ".join(parts)
