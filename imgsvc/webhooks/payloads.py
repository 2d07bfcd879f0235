"""What messages say: the documents of the API, with absolute links."""

from __future__ import annotations

import json
from typing import Any

from imgsvc.domain.job import Job
from imgsvc.domain.times import rfc3339
from imgsvc.domain.webhook import WebhookEvent

Document = dict[str, Any]


def dump_message(event: WebhookEvent, created_at_ms: int, data: Document) -> str:
    """A message's body: the same text for every try."""
    message = {"type": event.value, "timestamp": rfc3339(created_at_ms), "data": data}
    return json.dumps(message, separators=(",", ":"))


def job_data(job: Document, base_url: str) -> Document:
    links = {name: f"{base_url}{path}" for name, path in job["links"].items()}
    return {"job": {**job, "links": links}}


def images_data(job: Job, images: list[Document], base_url: str) -> Document:
    """Of a job only where it stands: the whole of it would be many times the same."""
    summary = {
        "id": job.id,
        "status": job.state.value,
        "total": job.total,
        "completed": job.completed,
        "failed": job.failed,
        "cancelled": job.cancelled,
        "progress": job.progress,
    }
    return {"job": summary, "images": [_with_links(image, base_url) for image in images]}


def _with_links(image: Document, base_url: str) -> Document:
    outputs = [{**output, "url": f"{base_url}{output['url']}"} for output in image["outputs"]]
    return {**image, "outputs": outputs}
