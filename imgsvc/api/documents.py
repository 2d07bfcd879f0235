"""Jobs and images as the JSON documents of the native API."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from imgsvc.dispatch.workforce import WorkforceFacts
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.rendering import AnalysisFacts, Failure, ImageWarning, OutputFacts
from imgsvc.domain.times import rfc3339
from imgsvc.progress.pace import Paces
from imgsvc.recipes.watermarks import unpin_watermarks


def job_url(job_id: str) -> str:
    return f"/api/v1/jobs/{job_id}"


def output_url(job_id: str, index: int, variant: str) -> str:
    return f"{job_url(job_id)}/images/{index}/outputs/{quote(variant)}"


def job_summary(job: Job, paces: Paces) -> dict[str, Any]:
    """What progress messages say of a job."""
    return {
        "id": job.id,
        "status": job.state,
        "total": job.total,
        "completed": job.completed,
        "failed": job.failed,
        "cancelled": job.cancelled,
        "progress": job.progress,
        "eta_s": paces.remaining_s(job),
    }


def job_document(job: Job, paces: Paces) -> dict[str, Any]:
    url = job_url(job.id)
    return {
        **job_summary(job, paces),
        "label": job.label,
        "priority": job.priority,
        "preset": job.preset,
        "recipe": json.loads(unpin_watermarks(job.recipe)),
        "open": job.open,
        "source": job.source,
        "input_bytes": job.input_bytes,
        "output_bytes": job.output_bytes,
        "errors": job.errors,
        "created_at": rfc3339(job.created_at),
        "started_at": rfc3339(job.started_at),
        "finished_at": rfc3339(job.finished_at),
        "expires_at": rfc3339(job.expires_at),
        "links": {
            "self": url,
            "images": f"{url}/images",
            "events": f"{url}/events",
            "archive": f"{url}/archive.zip",
            "report": f"{url}/report.csv",
        },
    }


def image_document(image: Image) -> dict[str, Any]:
    return {
        "id": image.id,
        "index": image.index,
        "name": image.name,
        "status": image.state,
        "attempts": image.attempts,
        "source": {"kind": image.kind, "url": image.url},
        "error": _failure(image.error),
        "last_error": _failure(image.last_error),
        "warnings": [{"code": w.code, "message": warning_text(w)} for w in image.warnings],
        "analysis": _analysis(image.analysis),
        "input": _input(image),
        "outputs": [_output(image, output) for output in image.outputs],
        "started_at": rfc3339(image.started_at),
        "finished_at": rfc3339(image.finished_at),
        "duration_ms": image.duration_ms,
    }


def workers_document(facts: WorkforceFacts) -> dict[str, Any]:
    """The numbers of workers; `size` is what the pool has or is on its way to."""
    return {
        "size": facts.size,
        "min": facts.least,
        "max": facts.most,
        "busy": facts.busy,
        "idle": facts.idle,
        "starting": facts.starting,
        "leaving": facts.leaving,
    }


def _failure(failure: Failure | None) -> dict[str, str] | None:
    return None if failure is None else {"code": failure.code, "message": failure.message}


def warning_text(warning: ImageWarning) -> str:
    about = f": {', '.join(warning.variants)}" if warning.variants else ""
    return f"{warning.message}{about}"


def _analysis(facts: AnalysisFacts | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    return {
        "dominant_colour": facts.dominant_colour,
        "has_alpha": facts.has_alpha,
        "thumbhash": facts.thumbhash,
    }


def _input(image: Image) -> dict[str, Any]:
    facts = image.input
    return {
        "format": facts.format if facts else None,
        "width": facts.width if facts else None,
        "height": facts.height if facts else None,
        "frames": facts.frames if facts else None,
        "size_bytes": image.size_bytes,
        "sha256": image.sha256,
    }


def _output(image: Image, output: OutputFacts) -> dict[str, Any]:
    return {
        "variant": output.variant,
        "format": output.format,
        "width": output.width,
        "height": output.height,
        "frames": output.frames,
        "size_bytes": output.size_bytes,
        "sha256": output.sha256,
        "reused": output.reused,
        "url": output_url(image.job_id, image.index, output.variant),
    }
