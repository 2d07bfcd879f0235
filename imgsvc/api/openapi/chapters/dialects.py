"""The four other designs that the server speaks."""

from __future__ import annotations

from imgsvc import errors
from imgsvc.api.dialects.batch_v1 import MAX_JOBS, narrow_limits
from imgsvc.api.dialects.product_csv import MAX_WEBHOOK_URL_CHARS, OUTPUT_TITLE
from imgsvc.api.openapi import examples
from imgsvc.api.openapi.bodies import (
    form,
    form_or_json,
    json_body,
    operation_fields,
    plain_form,
)
from imgsvc.api.openapi.operations import Operation, Tag, look
from imgsvc.api.openapi.parameters import IDEMPOTENCY_KEY, INLINE, OF_FILES
from imgsvc.api.openapi.refusals import BODY, CHANGE, NOT_FOUND, SAFE, TAKE_IN, refused
from imgsvc.api.openapi.responses import ACCEPTED, answer, csv_answer, file_answers, json_answer
from imgsvc.api.openapi.vocabulary import TEXT, WEB_ADDRESS, Schema, record, ref, said
from imgsvc.api.product_lists import LIST_TYPE
from imgsvc.config import LimitSettings
from imgsvc.domain.product_list import TITLES

_LOOK = SAFE | NOT_FOUND
_WEBHOOK_URL: Schema = {
    "type": "string",
    "maxLength": MAX_WEBHOOK_URL_CHARS,
    "pattern": WEB_ADDRESS,
}


def operations(limits: LimitSettings) -> list[Operation]:
    return [
        *_batch_upload(),
        *_batch_v1(limits),
        *_product_csv("/api", ""),
        *_product_csv("/api/v1", "V1"),
        *_jobs(),
    ]


def _batch_upload() -> list[Operation]:
    tag = Tag.BATCH_UPLOAD
    preset = said(TEXT, "Name of a preset; not together with the others.")
    return [
        Operation(
            method="post",
            path="/upload",
            name="uploadBatch",
            tag=tag,
            summary="Upload a batch of images",
            parameters=[IDEMPOTENCY_KEY],
            body=plain_form(form({**operation_fields(), "preset": preset}), "Any number of files."),
            answers={202: json_answer("UploadedBatch", "The batch.", *ACCEPTED)},
            refusals=TAKE_IN,
        ),
        look(
            path="/batch/{id}",
            name="getUploadedBatch",
            tag=tag,
            summary="Look at a batch",
            answer=json_answer("BatchOverview", "The batch as it is now."),
        ),
        look(
            path="/batch/{id}/images",
            name="listUploadedImages",
            tag=tag,
            summary="List the images of a batch",
            answer=json_answer("BatchImages", "All images."),
        ),
        look(
            path="/status/{id}",
            name="getTaskStatus",
            tag=tag,
            summary="Look at a task",
            answer=json_answer("TaskStatus", "The task as it is now."),
        ),
        Operation(
            method="get",
            path="/image/{key}",
            name="getImageByKey",
            tag=tag,
            summary="Download one file",
            parameters=[INLINE, *OF_FILES],
            answers=file_answers(),
            refusals=_LOOK,
        ),
    ]


def _batch_v1(limits: LimitSettings) -> list[Operation]:
    tag = Tag.BATCH_V1
    narrow = narrow_limits(limits)
    images = {"images": [{"base64": examples.DOT, "name": "dot.png"}]}
    return [
        Operation(
            method="post",
            path="/api/v1/batch",
            name="submitBatch",
            tag=tag,
            summary="Submit a batch of images",
            parameters=[IDEMPOTENCY_KEY],
            body=json_body(
                ref("BatchSpec"),
                images,
                f"At most {narrow.max_images_per_job} images, each of at most "
                f"{narrow.max_image_bytes} bytes.",
            ),
            answers={202: json_answer("SubmittedBatch", "The batch.", *ACCEPTED)},
            refusals=TAKE_IN,
        ),
        look(
            path="/api/v1/batch",
            name="listBatches",
            tag=tag,
            summary=f"List the {MAX_JOBS} newest batches",
            answer=json_answer("BatchList", "The batches, without their images."),
        ),
        look(
            path="/api/v1/batch/{id}",
            name="getBatch",
            tag=tag,
            summary="Look at a batch",
            answer=json_answer("Batch", "The batch as it is now."),
        ),
        Operation(
            method="get",
            path="/api/v1/batch/{id}/ws",
            name="followBatch",
            tag=tag,
            summary="Follow a batch over a WebSocket",
            description="Messages are of the schema BatchMessage. Every image is told of once it "
            "is final, those that were so before as well.",
            answers={101: answer("A WebSocket, with a BatchMessage in each message.", None)},
            refusals=_LOOK | refused(errors.Forbidden, errors.NotAcceptable),
        ),
    ]


def _product_csv(prefix: str, suffix: str) -> list[Operation]:
    tag = Tag.PRODUCT_CSV
    as_form = form({"webhook_url": _WEBHOOK_URL}, files=1, media_type=LIST_TYPE)
    titles = ",".join([*TITLES.values(), OUTPUT_TITLE])
    webhook = record(request_id=TEXT, webhook_url=_WEBHOOK_URL)
    example = {"request_id": examples.JOB_ID, "webhook_url": "https://shop.example/done"}
    return [
        Operation(
            method="post",
            path=f"{prefix}/upload",
            name=f"uploadProducts{suffix}",
            tag=tag,
            summary="Upload a product list",
            description=f"Columns: {', '.join(TITLES.values())}. A bad file is refused with every "
            "wrong row and column, and nothing is created.",
            parameters=[IDEMPOTENCY_KEY],
            body=plain_form(as_form, "One CSV file."),
            answers={202: json_answer("ProductRequest", "The request.", "Idempotency-Replayed")},
            refusals=TAKE_IN | refused(errors.InvalidCsv),
        ),
        look(
            path=f"{prefix}/status/{{id}}",
            name=f"getProducts{suffix}",
            tag=tag,
            summary="Look at a request",
            answer=json_answer("ProductStatus", "The request as it is now."),
        ),
        Operation(
            method="get",
            path=f"{prefix}/download/{{id}}",
            name=f"downloadProducts{suffix}",
            tag=tag,
            summary="Download the list with its results",
            answers={
                200: csv_answer(
                    f"The columns as sent, and {OUTPUT_TITLE}: positions match, empty where an "
                    "image failed.",
                    titles,
                )
            },
            refusals=_LOOK | refused(errors.NotReady),
        ),
        Operation(
            method="post",
            path=f"{prefix}/webhook",
            name=f"setProductWebhook{suffix}",
            tag=tag,
            summary="Say whom to tell of the end",
            description="In the place of a former receiver; sent at once when the request is "
            "final already.",
            body=json_body(webhook, example, "Which request, and whom."),
            answers={200: json_answer("ProductWebhook", "The same.")},
            refusals=CHANGE | BODY | NOT_FOUND,
        ),
    ]


def _one_image() -> Schema:
    """The body: a form, or a document."""
    fields = operation_fields()
    spec: Schema = {
        "type": "object",
        "properties": {"image_data": said(TEXT, "Base64, or a data: URI."), **fields},
        "required": ["image_data", "operation"],
        "additionalProperties": False,
    }
    document = {
        "image_data": examples.DOT,
        "operation": "thumbnail",
        "width": 200,
        "output_format": "jpeg",
    }
    as_form = {**form(fields, files=1, name="image_data"), "required": ["image_data", "operation"]}
    text = "The image, and what to make of it: width, height or both are needed."
    return form_or_json(as_form, spec, document, text)


def _jobs() -> list[Operation]:
    tag = Tag.JOBS_DIALECT
    octets = ["application/octet-stream"]
    return [
        Operation(
            method="post",
            path="/jobs",
            name="submitOneImage",
            tag=tag,
            summary="Submit one image with one operation",
            parameters=[IDEMPOTENCY_KEY],
            body=_one_image(),
            answers={202: json_answer("SubmittedJob", "The job.", *ACCEPTED)},
            refusals=TAKE_IN,
        ),
        look(
            path="/jobs/{id}",
            name="getOneImage",
            tag=tag,
            summary="Look at a job",
            answer=json_answer("JobOfOneImage", "The job as it is now."),
        ),
        Operation(
            method="get",
            path="/jobs/{id}/input",
            name="downloadInput",
            tag=tag,
            summary="Download what was sent",
            parameters=OF_FILES,
            answers=file_answers(octets, with_digest=False),
            refusals=_LOOK,
        ),
        Operation(
            method="get",
            path="/jobs/{id}/download",
            name="downloadOneImage",
            tag=tag,
            summary="Download the result",
            parameters=[INLINE, *OF_FILES],
            answers=file_answers(),
            refusals=_LOOK | refused(errors.NotReady),
        ),
    ]
