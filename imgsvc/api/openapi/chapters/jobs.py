"""Jobs and their images."""

from __future__ import annotations

from imgsvc import errors
from imgsvc.api.jobs import IMAGES_AT_ONCE, JOBS_AT_ONCE
from imgsvc.api.openapi.bodies import append_body, json_body, submit_body
from imgsvc.api.openapi.operations import Operation, Tag, look
from imgsvc.api.openapi.parameters import (
    CURSOR,
    IDEMPOTENCY_KEY,
    NAME,
    PREFER,
    in_query,
    job_fields,
    limit,
    status,
)
from imgsvc.api.openapi.refusals import BODY, CHANGE, NOT_FOUND, TAKE_IN, refused
from imgsvc.api.openapi.responses import ACCEPTED, NO_CONTENT, json_answer
from imgsvc.api.openapi.vocabulary import TEXT, ref
from imgsvc.config import LimitSettings

_OPTIONS = CHANGE | NOT_FOUND | BODY


def operations(limits: LimitSettings) -> list[Operation]:
    return [*_submits(limits), *_looks(), *_changes(), *_of_images()]


def _submits(limits: LimitSettings) -> list[Operation]:
    return [
        Operation(
            method="post",
            path="/api/v1/jobs",
            name="submitJob",
            tag=Tag.JOBS,
            summary="Submit images",
            description="The answer is sent when every byte is on stable storage. A bad image "
            "never fails a submit: that one image ends failed.",
            parameters=[*job_fields(), IDEMPOTENCY_KEY, PREFER],
            body=submit_body(limits),
            answers={
                202: json_answer("Job", "The job, which is being worked on.", *ACCEPTED),
                200: json_answer(
                    "Job",
                    "The job, final within the time preferred.",
                    *ACCEPTED,
                    "Preference-Applied",
                ),
            },
            refusals=TAKE_IN | refused(errors.InvalidCsv),
        ),
        Operation(
            method="post",
            path="/api/v1/jobs/{id}/images",
            name="appendImages",
            tag=Tag.JOBS,
            summary="Append images to an open job",
            parameters=[NAME, IDEMPOTENCY_KEY],
            body=append_body(limits),
            answers={202: json_answer("Accepted", "What was appended.", "Idempotency-Replayed")},
            refusals=TAKE_IN | NOT_FOUND | refused(errors.JobClosed),
        ),
    ]


def _looks() -> list[Operation]:
    return [
        look(
            path="/api/v1/jobs",
            name="listJobs",
            tag=Tag.JOBS,
            summary="List jobs, newest first",
            parameters=[
                status("JobState"),
                in_query("label", TEXT, "Only those with this very label."),
                limit(JOBS_AT_ONCE),
                CURSOR,
            ],
            answer=json_answer("JobList", "A page of jobs.", "Link"),
        ),
        look(
            path="/api/v1/jobs/{id}",
            name="getJob",
            tag=Tag.JOBS,
            summary="Look at a job",
            answer=json_answer("Job", "The job as it is now."),
        ),
    ]


def _changes() -> list[Operation]:
    retry = {"codes": ["fetch_failed", "fetch_timeout"]}
    return [
        Operation(
            method="delete",
            path="/api/v1/jobs/{id}",
            name="deleteJob",
            tag=Tag.JOBS,
            summary="Delete a job and its files",
            description="What still runs is cancelled.",
            answers={204: NO_CONTENT},
            refusals=CHANGE | NOT_FOUND,
        ),
        Operation(
            method="post",
            path="/api/v1/jobs/{id}/close",
            name="closeJob",
            tag=Tag.JOBS,
            summary="Append no more images",
            description="A job that is closed stays as it is.",
            answers={200: json_answer("Job", "The job, closed.")},
            refusals=_OPTIONS,
        ),
        Operation(
            method="post",
            path="/api/v1/jobs/{id}/cancel",
            name="cancelJob",
            tag=Tag.JOBS,
            summary="Cancel what is not final",
            description="Images that are not final become cancelled at once; finished outputs "
            "stay. A job that is final stays as it is.",
            answers={200: json_answer("Job", "The job, with nothing left to do.")},
            refusals=_OPTIONS,
        ),
        Operation(
            method="post",
            path="/api/v1/jobs/{id}/retry",
            name="retryJob",
            tag=Tag.JOBS,
            summary="Try images again",
            description="Failed and cancelled images wait again, as if never tried; also while "
            "the job runs. Where none matches nothing is changed.",
            body=json_body(ref("RetrySpec"), retry, "Which images.", required=False),
            answers={200: json_answer("Job", "The job, being worked on again.")},
            refusals=_OPTIONS,
        ),
    ]


def _of_images() -> list[Operation]:
    page = (limit(IMAGES_AT_ONCE), CURSOR)
    return [
        look(
            path="/api/v1/images",
            name="listImages",
            tag=Tag.IMAGES,
            summary="List images across jobs, newest first",
            description="What failed for good is found here until it is retried or expires.",
            parameters=[status("ImageState"), *page],
            answer=json_answer("ImageOfJobList", "A page of images.", "Link"),
        ),
        look(
            path="/api/v1/jobs/{id}/images",
            name="listImagesOfJob",
            tag=Tag.IMAGES,
            summary="List a job's images by their index",
            parameters=[status("ImageState"), *page],
            answer=json_answer("ImageList", "A page of images.", "Link"),
        ),
        look(
            path="/api/v1/jobs/{id}/images/{index}",
            name="getImage",
            tag=Tag.IMAGES,
            summary="Look at an image",
            answer=json_answer("Image", "The image as it is now."),
        ),
    ]
