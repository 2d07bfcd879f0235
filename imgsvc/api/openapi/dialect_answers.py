"""What the dialects answer: one schema for every document that `imgsvc.api.dialects` builds."""

from __future__ import annotations

from imgsvc.api.dialects.operations import MODES
from imgsvc.api.dialects.product_csv import MAX_WEBHOOK_URL_CHARS, STATUSES
from imgsvc.api.dialects.states import IMAGE_STATUSES, JOB_STATUSES
from imgsvc.api.openapi.vocabulary import (
    COUNT,
    ID,
    MOMENT,
    PERCENTAGE,
    PIXELS,
    TEXT,
    URL,
    Schema,
    array,
    choice,
    nullable,
    record,
    ref,
    said,
)

_CHOICES = {
    "BatchState": said(choice(JOB_STATUSES), "How far a batch is."),
    "BatchImageState": said(choice(IMAGE_STATUSES), "How far an image of a batch is."),
    "ProductState": said(choice(STATUSES), "How far a list is, or one product of it."),
}
_ERROR = said(nullable(TEXT), "Set exactly when the status is failed.")
_PENDING: Schema = {"const": "pending"}


def dialect_schemas() -> dict[str, Schema]:
    """By name."""
    return {**_CHOICES, **_batch_upload(), **_batch_v1(), **_product_csv(), **_jobs()}


def _batch_upload() -> dict[str, Schema]:
    uploaded = record(batch_id=ID, task_id=ID, status=_PENDING, total_images=COUNT)
    uploaded["required"].remove("task_id")  # the design has it for one file only
    uploaded["properties"]["task_id"] = said(ID, "Only where there is one file; the same id.")
    image = record(
        image_id=ID,
        image_name=TEXT,
        status=ref("BatchImageState"),
        error=_ERROR,
        created_at=MOMENT,
        processed_at=said(nullable(MOMENT), "Set when the status is completed."),
        outputs=said(
            {"type": "object", "additionalProperties": URL}, "URLs by the names of variants."
        ),
    )
    return {
        "UploadedBatch": uploaded,
        "BatchOverview": record(
            batch_id=ID,
            status=ref("BatchState"),
            created_at=MOMENT,
            completed_at=nullable(MOMENT),
            total_images=COUNT,
            processed_images=said(COUNT, "All that are final, in whatever way."),
            progress=PERCENTAGE,
        ),
        "BatchImages": record(batch_id=ID, images=array(image)),
        "TaskStatus": record(
            task_id=ID,
            status=ref("BatchState"),
            error=_ERROR,
            created_at=MOMENT,
            updated_at=MOMENT,
            image_keys=array(TEXT),
        ),
    }


def _batch_v1() -> dict[str, Schema]:
    numbers = {
        "job_id": ID,
        "status": ref("BatchState"),
        "total_images": COUNT,
        "completed": COUNT,
        "failed": COUNT,
        "progress": PERCENTAGE,
    }
    image = record(
        index=COUNT,
        original_filename=TEXT,
        status=ref("BatchImageState"),
        trace_id=ID,
        processed_path=nullable(URL),
        error=_ERROR,
    )
    times = {"created_at": MOMENT, "updated_at": MOMENT}
    return {
        "SubmittedBatch": record(job_id=ID, status=_PENDING, created_at=MOMENT, message=TEXT),
        "BatchImage": image,
        "Batch": record(**numbers, **times, images=array(ref("BatchImage"))),
        "BatchList": record(jobs=array(record(**numbers, **times))),
        "BatchMessage": {
            "description": "A message on the progress of a batch.",
            "oneOf": [
                record(type=choice(["progress", "job_complete"]), **numbers),
                record(
                    type=choice(["image_completed", "image_failed"]),
                    **numbers,
                    image=ref("BatchImage"),
                ),
            ],
        },
    }


def _product_csv() -> dict[str, Schema]:
    urls = array(TEXT)
    product = record(
        serial_number={"type": "integer"},
        product_name=TEXT,
        status=ref("ProductState"),
        input_image_urls=urls,
        output_image_urls=said(urls, "One for each input, empty where there is no file."),
    )
    url = {"type": "string", "maxLength": MAX_WEBHOOK_URL_CHARS}
    return {
        "ProductRequest": record(request_id=ID, status={"const": "PENDING"}),
        "ProductStatus": record(
            request_id=ID,
            status=ref("ProductState"),
            completion_percentage=PERCENTAGE,
            created_at=MOMENT,
            updated_at=MOMENT,
            products=array(product),
        ),
        "ProductWebhook": record(request_id=ID, webhook_url=url),
    }


def _jobs() -> dict[str, Schema]:
    return {
        "SubmittedJob": record(job_id=ID, status=_PENDING, message=TEXT),
        "JobOfOneImage": record(
            id=ID,
            status=ref("JobState"),
            input_path=said(nullable(URL), "Where what was sent is found, while it is kept."),
            output_path=nullable(URL),
            operation=choice(MODES),
            width=nullable(PIXELS),
            height=nullable(PIXELS),
            output_format=nullable(ref("OutputFormat")),
            error=nullable(TEXT),
            created_at=MOMENT,
            updated_at=MOMENT,
        ),
    }
