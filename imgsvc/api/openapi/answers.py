"""What the native API answers: one schema for every document that `imgsvc.api` builds."""

from __future__ import annotations

from imgsvc.api.openapi import examples
from imgsvc.api.openapi.vocabulary import (
    COUNT,
    FLAG,
    ID,
    MOMENT,
    PATH,
    PERCENTAGE,
    PIXELS,
    SHA256,
    TEXT,
    URL,
    Schema,
    array,
    choice,
    nullable,
    record,
    ref,
    said,
    shown,
)
from imgsvc.config import LimitSettings
from imgsvc.domain.image import SourceKind
from imgsvc.domain.rendering import MEDIA_TYPES
from imgsvc.domain.states import FINAL_IMAGE_STATES, FINAL_JOB_STATES, ImageState, JobState
from imgsvc.domain.webhook import DeliveryError, DeliveryState, WebhookEvent
from imgsvc.errors import WarningCode

_CHOICES = {
    "JobState": said(choice(JobState), f"Final: {', '.join(sorted(FINAL_JOB_STATES))}."),
    "ImageState": said(choice(ImageState), f"Final: {', '.join(sorted(FINAL_IMAGE_STATES))}."),
    "SourceKind": said(choice(SourceKind), "How an image came."),
    "WarningCode": said(choice(WarningCode), "What was done otherwise than asked."),
    "OutputFormat": said(choice(MEDIA_TYPES), "What a finished file is."),
}
"""What stands in several records: one type each to generated clients."""
_POSITIVE: Schema = {"type": "integer", "minimum": 1}
_SECONDS: Schema = {"type": "number", "minimum": 0}
_NUMBERS = {
    "total": said(COUNT, "How many images it has."),
    "completed": COUNT,
    "failed": COUNT,
    "cancelled": COUNT,
    "progress": said(PERCENTAGE, "Percentage of images in a final state."),
}
_SUMMARY = {
    "id": ID,
    "status": ref("JobState"),
    **_NUMBERS,
    "eta_s": said(nullable(_SECONDS), "Seconds until all is done; null while that is unknown."),
}
_JOB = {
    **_SUMMARY,
    "label": nullable(TEXT),
    "priority": ref("Priority"),
    "preset": said(nullable(TEXT), "null where it has a recipe of its own."),
    "recipe": ref("Recipe"),
    "open": said(FLAG, "Whether more images may be appended."),
    "source": said(TEXT, "Where it came from: api, page, cli, watch, csv, batch, upload, jobs …"),
    "input_bytes": COUNT,
    "output_bytes": COUNT,
    "errors": {
        "type": "object",
        "description": "How many images failed, by code.",
        "propertyNames": ref("ImageErrorCode"),
        "additionalProperties": _POSITIVE,
    },
    "created_at": MOMENT,
    "started_at": nullable(MOMENT),
    "finished_at": nullable(MOMENT),
    "expires_at": said(nullable(MOMENT), "null until it is final, and where it is kept for ever."),
}
_LINKS = ("self", "images", "events", "archive", "report")
_OUTPUT = {
    "variant": TEXT,
    "format": ref("OutputFormat"),
    "width": PIXELS,
    "height": PIXELS,
    "frames": _POSITIVE,
    "size_bytes": COUNT,
    "sha256": SHA256,
    "reused": said(FLAG, "Whether it was made of the same bytes before."),
}
_IMAGE = {
    "id": ID,
    "index": said(COUNT, "Its place in the job, from 0."),
    "name": TEXT,
    "status": ref("ImageState"),
    "attempts": said(COUNT, "Tries begun, less those that were cut short through no fault of it."),
    "source": record(kind=ref("SourceKind"), url=nullable(TEXT)),
    "error": said(nullable(ref("ImageFailure")), "Set exactly when the status is failed."),
    "last_error": said(nullable(ref("ImageFailure")), "The last failure, while it waits to retry."),
    "warnings": array(record(code=ref("WarningCode"), message=TEXT)),
    "analysis": nullable(ref("Analysis")),
    "input": record(
        format=nullable(TEXT),
        width=nullable(PIXELS),
        height=nullable(PIXELS),
        frames=nullable(_POSITIVE),
        size_bytes=nullable(COUNT),
        sha256=nullable(SHA256),
    ),
    "outputs": said(array(ref("Output")), "In the recipe's order; empty until completed."),
    "started_at": nullable(MOMENT),
    "finished_at": nullable(MOMENT),
    "duration_ms": nullable(COUNT),
}
_WATERMARK = {
    "name": TEXT,
    "width": PIXELS,
    "height": PIXELS,
    "size_bytes": COUNT,
    "sha256": SHA256,
    "updated_at": MOMENT,
}
_DELIVERY = {
    "id": said(ID, "The same for every try; receivers see it as webhook-id."),
    "job_id": ID,
    "event": ref("WebhookEvent"),
    "receiver": said(TEXT, "Host and port; the rest of the URL may be a secret."),
    "status": choice(DeliveryState),
    "attempts": COUNT,
    "next_attempt_at": said(nullable(MOMENT), "null unless pending."),
    "last_status": nullable({"type": "integer"}),
    "last_error": nullable(choice(DeliveryError)),
    "created_at": MOMENT,
    "delivered_at": nullable(MOMENT),
}


def answer_schemas() -> dict[str, Schema]:
    """By name."""
    return {**_CHOICES, **_of_jobs(), **_of_lists(), **_of_other_things(), **_of_messages()}


def _of_jobs() -> dict[str, Schema]:
    job = _job(PATH)
    image = record(**_IMAGE)
    return {
        "Job": shown(said(job, "A submission of images with one recipe."), examples.JOB),
        "JobSummary": said(record(**_SUMMARY), "Where a job stands."),
        "Image": shown(said(image, "One input of a job."), examples.IMAGE),
        "ImageOfJob": said(record(job_id=ID, **_IMAGE), "An image, and whose it is."),
        "ImageFailure": record(code=ref("ImageErrorCode"), message=TEXT),
        "Output": said(record(**_OUTPUT, url=PATH), "A finished file."),
        "Analysis": said(
            record(
                dominant_colour={"type": "string", "pattern": "^#[0-9a-f]{6}$"},
                has_alpha=said(FLAG, "Whether any pixel is not opaque."),
                thumbhash=said(TEXT, "A ThumbHash placeholder, in base64."),
            ),
            "What the picture is like at a glance. null until completed, and where the job does "
            "not want it.",
        ),
        "Accepted": said(
            record(accepted=array(record(index=COUNT, name=TEXT))), "What was appended."
        ),
    }


def _job(link: Schema) -> Schema:
    return record(**_JOB, links=record(**dict.fromkeys(_LINKS, link)))


def _page_of(item: str) -> Schema:
    cursor = said(nullable(TEXT), "Of the next page; null on the last.")
    return record(items=array(ref(item)), next_cursor=cursor)


def _of_lists() -> dict[str, Schema]:
    return {
        "JobList": said(_page_of("Job"), "Newest first."),
        "ImageList": said(_page_of("Image"), "In the order of their index."),
        "ImageOfJobList": said(_page_of("ImageOfJob"), "Newest first."),
        "DeliveryList": said(_page_of("Delivery"), "Newest first."),
        "PresetList": said(record(items=array(ref("Preset"))), "By name."),
        "WatermarkList": said(record(items=array(ref("KeptWatermark"))), "By name."),
    }


def _of_other_things() -> dict[str, Schema]:
    preset = record(
        name=TEXT,
        readonly=said(FLAG, "Whether it comes with the program."),
        recipe=said(
            {"anyOf": [ref("Recipe"), {"type": "object"}]},
            "What another version of the program has saved may have other fields.",
        ),
        updated_at=said(nullable(MOMENT), "null where it comes with the program."),
    )
    workers = record(
        size=said(COUNT, "What the pool has, or is on its way to."),
        min=nullable(COUNT),
        max=said(nullable(COUNT), "null where the size is fixed."),
        busy=COUNT,
        idle=COUNT,
        starting=COUNT,
        leaving=COUNT,
    )
    problems = array(choice(["draining", "storage_full", "database_not_writable"]))
    return {
        "Preset": shown(said(preset, "A recipe with a name."), examples.PRESET),
        "KeptWatermark": said(record(**_WATERMARK), "A picture to be laid over others."),
        "Delivery": said(record(**_DELIVERY), "One message to the receiver of a webhook."),
        "Workers": said(workers, "The worker processes."),
        "Info": said(
            record(
                name={"const": "imgsvc"},
                version=TEXT,
                formats=said(
                    nullable(record(read=array(TEXT), write=array(TEXT))),
                    "null while no worker has come up.",
                ),
                limits=record(**dict.fromkeys(LimitSettings.model_fields, _POSITIVE)),
                workers=ref("Workers"),
                queue=record(pending_images=COUNT),
            ),
            "What this server is, and what it takes.",
        ),
        "Alive": record(status={"const": "ok"}),
        "Unready": record(status={"const": "unavailable"}, problems=problems),
    }


def _of_messages() -> dict[str, Schema]:
    seq = said(COUNT, "Rises.")

    def message(type_: str, **fields: Schema) -> Schema:
        return record(type={"const": type_}, seq=seq, **fields)

    return {
        "JobEvent": {
            "description": "A message on a job's progress.",
            "oneOf": [
                said(message("snapshot", job=ref("Job")), "The first."),
                said(message("image", image=ref("Image"), job=ref("JobSummary")), "A change."),
                said(message("job", job=ref("JobSummary")), "A change of the job alone."),
                said(message("end", job=ref("Job")), "The last."),
            ],
        },
        "ServerEvent": {
            "description": "A message on the progress of all jobs.",
            "oneOf": [
                said(message("snapshot", jobs=array(ref("Job"))), "The first: the 50 newest jobs."),
                said(message("job", job=ref("JobSummary")), "A change."),
            ],
        },
        "JobFinished": _webhook(
            WebhookEvent.JOB_FINISHED,
            job=_job(URL),
        ),
        "ImageFinished": _webhook(
            WebhookEvent.IMAGE_FINISHED,
            job=record(**{k: v for k, v in _SUMMARY.items() if k != "eta_s"}),
            images=array(
                record(**{**_IMAGE, "outputs": array(record(**_OUTPUT, url=URL))}),
            ),
        ),
    }


def _webhook(event: WebhookEvent, **data: Schema) -> Schema:
    schema = record(type={"const": event.value}, timestamp=MOMENT, data=record(**data))
    return said(schema, "Links are absolute.")
