"""Rows of the database, and what they are in the domain."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from typing import Any

from imgsvc.domain.image import Image, NewImage, SourceKind
from imgsvc.domain.job import Job
from imgsvc.domain.rendering import (
    AnalysisFacts,
    Failure,
    ImageWarning,
    InputFacts,
    OutputFacts,
)
from imgsvc.domain.states import ImageState, JobState, Priority
from imgsvc.domain.webhook import WebhookEvent
from imgsvc.errors import ImageErrorCode, WarningCode

_MANY = 200
"""More rows than this are converted in a thread: the event loop has others to serve."""


_IMAGE_STATES = {state.value: state for state in ImageState}
_SOURCE_KINDS = {kind.value: kind for kind in SourceKind}
_ANNOUNCED = {
    " ".join(sorted(events)): events
    for events in (
        frozenset[WebhookEvent](),
        *(frozenset({event}) for event in WebhookEvent),
        frozenset(WebhookEvent),
    )
}


def dump_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def job_from_row(row: sqlite3.Row) -> Job:
    return Job(
        id=row["id"],
        state=JobState(row["state"]),
        label=row["label"],
        priority=Priority(row["priority"]),
        preset=row["preset"],
        recipe=row["recipe"],
        open=bool(row["open"]),
        hidden=bool(row["hidden"]),
        source=row["source"],
        total=row["total"],
        completed=row["completed"],
        failed=row["failed"],
        cancelled=row["cancelled"],
        input_bytes=row["input_bytes"],
        output_bytes=row["output_bytes"],
        errors=json.loads(row["errors"]),
        reuse=bool(row["reuse"]),
        analyze=bool(row["analyze"]),
        retain_s=row["retain_s"],
        remaining_ms=row["remaining_ms"],
        unfetched=row["unfetched"],
        seq=row["seq"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        expires_at=row["expires_at"],
        announces=_ANNOUNCED[row["announces"]],
    )


def job_parameters(job: Job) -> dict[str, Any]:
    """A job as the named parameters of its statements."""
    return {
        "id": job.id,
        "state": job.state.value,
        "label": job.label,
        "priority": job.priority.value,
        "preset": job.preset,
        "recipe": job.recipe,
        "open": job.open,
        "hidden": job.hidden,
        "source": job.source,
        "total": job.total,
        "completed": job.completed,
        "failed": job.failed,
        "cancelled": job.cancelled,
        "input_bytes": job.input_bytes,
        "output_bytes": job.output_bytes,
        "errors": dump_json(job.errors),
        "reuse": job.reuse,
        "analyze": job.analyze,
        "retain_s": job.retain_s,
        "remaining_ms": job.remaining_ms,
        "unfetched": job.unfetched,
        "seq": job.seq,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "expires_at": job.expires_at,
        "announces": " ".join(sorted(job.announces)),
    }


def image_from_row(row: Sequence[Any]) -> Image:
    """Takes the columns in the order of the table, as `*` gives them: looking up two dozen
    of them by name would double the price of a page.
    """
    (
        job_id, index, id_, name, state, attempts, claim, kind, url, path, size_bytes, sha256,
        error_code, error_message, last_error_code, last_error_message, warnings, input_, outputs,
        memory_bytes, _not_before, started_at, finished_at, duration_ms, _reuse_key, cost_ms,
        analysis, fetch_host, _fetch_at, fetch_max_bytes, _fetch_rank, interruptions,
        _alone_claim, fetch_way, crashed,
    ) = row  # fmt: skip
    return Image(
        job_id=job_id,
        index=index,
        id=id_,
        name=name,
        state=_IMAGE_STATES[state],
        attempts=attempts,
        claim=claim,
        kind=_SOURCE_KINDS[kind],
        url=url,
        path=path,
        size_bytes=size_bytes,
        sha256=sha256,
        error=_failure(error_code, error_message),
        last_error=_failure(last_error_code, last_error_message),
        warnings=_load_warnings(warnings),
        input=_load_input(input_),
        outputs=_load_outputs(outputs),
        memory_bytes=memory_bytes,
        started_at=started_at,
        finished_at=finished_at,
        duration_ms=duration_ms,
        cost_ms=cost_ms,
        analysis=_load_analysis(analysis),
        fetch_host=fetch_host,
        fetch_max_bytes=fetch_max_bytes,
        fetch_way=fetch_way,
        interruptions=interruptions,
        has_crashed=bool(crashed),
    )


async def images_from_rows(
    rows: Sequence[sqlite3.Row], thread: Executor | None = None
) -> list[Image]:
    """Images in the order of their rows. thread: for many of them; None for asyncio's own."""
    if len(rows) <= _MANY:
        return [image_from_row(row) for row in rows]
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(thread, lambda: [image_from_row(row) for row in rows])


def image_from_new(job_id: str, index: int, new: NewImage, now_ms: int) -> Image:
    """A new image as it is stored: pending, or failed when intake says so."""
    return Image(
        job_id=job_id,
        index=index,
        id=new.id,
        name=f"image-{index}" if new.name is None else new.name,
        state=ImageState.PENDING if new.failure is None else ImageState.FAILED,
        attempts=0,
        claim=0,
        kind=new.kind,
        url=new.url,
        path=new.path,
        size_bytes=new.size_bytes,
        sha256=new.sha256,
        error=new.failure,
        last_error=None,
        warnings=(),
        input=None,
        outputs=(),
        memory_bytes=None,
        started_at=None,
        finished_at=None if new.failure is None else now_ms,
        duration_ms=None,
        cost_ms=new.cost_ms,
        fetch_host=new.fetch_host,
        fetch_max_bytes=new.fetch_max_bytes,
    )


def new_image_parameters(image: Image, priority: Priority) -> dict[str, Any]:
    """A new image as the named parameters of its insert."""
    error = image.error
    return {
        "job_id": image.job_id,
        "idx": image.index,
        "id": image.id,
        "name": image.name,
        "state": image.state.value,
        "kind": image.kind.value,
        "url": image.url,
        "path": image.path,
        "size_bytes": image.size_bytes,
        "sha256": image.sha256,
        "error_code": error and error.code.value,
        "error_message": error and error.message,
        "finished_at": image.finished_at,
        "cost_ms": image.cost_ms,
        "fetch_host": image.fetch_host,
        "fetch_max_bytes": image.fetch_max_bytes,
        "fetch_rank": None if image.fetch_host is None else priority.rank,
        "fetch_at": 0 if image.awaits_fetch else None,
    }


def dump_input(facts: InputFacts | None) -> str | None:
    """Facts are lists in the order of their dataclass: a new field goes to its end."""
    if facts is None:
        return None
    return dump_json([facts.format, facts.width, facts.height, facts.frames])


def dump_analysis(facts: AnalysisFacts | None) -> str | None:
    if facts is None:
        return None
    return dump_json([facts.dominant_colour, facts.has_alpha, facts.thumbhash])


def dump_outputs(outputs: Iterable[OutputFacts]) -> str:
    return dump_json(
        [
            [
                output.variant,
                output.format,
                output.width,
                output.height,
                output.frames,
                output.size_bytes,
                output.sha256,
                output.reused,
            ]
            for output in outputs
        ]
    )


def dump_warnings(warnings: Iterable[ImageWarning]) -> str:
    return dump_json([[w.code.value, w.message, *w.variants] for w in warnings])


def _load_input(text: str | None) -> InputFacts | None:
    return None if text is None else InputFacts(*json.loads(text))


def _load_analysis(text: str | None) -> AnalysisFacts | None:
    return None if text is None else AnalysisFacts(*json.loads(text))


def _load_outputs(text: str) -> tuple[OutputFacts, ...]:
    if text == "[]":
        return ()
    return tuple(OutputFacts(*facts) for facts in json.loads(text))


def _load_warnings(text: str) -> tuple[ImageWarning, ...]:
    if text == "[]":
        return ()
    return tuple(
        ImageWarning(WarningCode(code), message, tuple(variants))
        for code, message, *variants in json.loads(text)
    )


def _failure(code: str | None, message: str | None) -> Failure | None:
    if code is None or message is None:
        return None
    return Failure(ImageErrorCode(code), message)
