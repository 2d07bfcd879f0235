"""Dialect D, as its clients use it: submit, poll, download."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from tests.api.dialects.clients import UrllibClient
from tests.api.dialects.conftest import Poll
from tests.pictures import make_jpeg

PICTURE = make_jpeg(64, 48)
KEYS = {
    "id", "status", "input_path", "output_path", "operation", "width", "height",
    "output_format", "error", "created_at", "updated_at",
}  # fmt: skip


def _request(**fields: Any) -> dict[str, Any]:
    data = base64.b64encode(PICTURE).decode()
    return {"image_data": data, "operation": "resize", "width": 30, "height": 30, **fields}


def _size(content: bytes) -> tuple[str | None, tuple[int, int]]:
    with Image.open(BytesIO(content)) as picture:
        return picture.format, picture.size


def test_an_image_is_submitted_polled_and_downloaded(client: UrllibClient, poll: Poll) -> None:
    answer = client.post_json("/jobs", _request())
    assert answer.status == 202
    assert answer.document == {
        "job_id": answer.document["job_id"],
        "status": "pending",
        "message": "The image was accepted.",
    }
    job_id = answer.document["job_id"]
    job = poll(f"/jobs/{job_id}")
    assert job.keys() == KEYS
    assert (job["id"], job["status"], job["error"]) == (job_id, "completed", None)
    assert (job["operation"], job["width"], job["height"]) == ("resize", 30, 30)
    assert job["output_format"] == "jpeg"
    assert job["output_path"] == f"{client.url}/jobs/{job_id}/download"
    assert _size(client.get(job["output_path"]).body) == ("JPEG", (30, 30))
    assert client.get(job["input_path"]).body == PICTURE
    assert client.get(f"/api/v1/jobs/{job_id}").document["source"] == "jobs"


@pytest.mark.parametrize(
    ("fields", "made"),
    [
        ({"width": 200, "height": 100}, ("JPEG", (200, 100))),
        ({"operation": "thumbnail", "width": 32, "height": 32}, ("JPEG", (32, 24))),
        ({"operation": "thumbnail", "width": 200, "height": 200}, ("JPEG", (64, 48))),
        ({"height": None, "width": 32}, ("JPEG", (32, 24))),
        ({"height": None, "width": 128}, ("JPEG", (128, 96))),
        ({"operation": "thumbnail", "height": None, "width": 128}, ("JPEG", (64, 48))),
        ({"output_format": "png"}, ("PNG", (30, 30))),
        ({"output_format": "WEBP"}, ("WEBP", (30, 30))),
        ({"output_format": "jpg"}, ("JPEG", (30, 30))),
    ],
)
def test_resize_is_exact_and_thumbnail_keeps_the_ratio(
    client: UrllibClient, poll: Poll, fields: dict[str, Any], made: object
) -> None:
    request = {k: v for k, v in _request(**fields).items() if v is not None}
    job_id = client.post_json("/jobs", request).document["job_id"]
    assert poll(f"/jobs/{job_id}")["status"] == "completed"
    assert _size(client.get(f"/jobs/{job_id}/download").body) == made


def test_a_form_with_one_file_does_the_same(client: UrllibClient, poll: Poll) -> None:
    fields = {"operation": "thumbnail", "width": "32", "height": "32", "output_format": "png"}
    answer = client.post_form("/jobs", [("image", "a.jpg", PICTURE)], fields)
    assert answer.status == 202
    poll(f"/jobs/{answer.document['job_id']}")
    download = client.get(f"/jobs/{answer.document['job_id']}/download")
    assert _size(download.body) == ("PNG", (32, 24))
    assert '"a.png"' in download.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"operation": "explode"}, "/operation"),
        ({"operation": None}, "/operation"),
        ({"width": 0}, "/width"),
        ({"width": 20_000}, "/width"),
        ({"width": "wide"}, "/width"),
        ({"width": 1.5}, "/width"),
        ({"width": True}, "/width"),
        ({"width": None, "height": None}, "/width"),
        ({"height": -1}, "/height"),
        ({"output_format": "bmp"}, "/output_format"),
        ({"output_format": 7}, "/output_format"),
        ({"image_data": None}, "/image_data"),
        ({"image_data": 7}, "/image_data"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_a_wrong_field_is_refused_by_its_own_name(
    client: UrllibClient, fields: dict[str, Any], pointer: str
) -> None:
    request = {k: v for k, v in _request(**fields).items() if v is not None}
    answer = client.post_json("/jobs", request)
    assert (answer.status, answer.document["code"]) == (422, "invalid_request")
    assert answer.document["errors"][0]["pointer"] == pointer
    assert answer.headers["Content-Type"].startswith("application/problem+json")


def test_a_document_that_is_no_object_is_refused(client: UrllibClient) -> None:
    answer = client.post_json("/jobs", [])
    assert (answer.status, answer.document["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("count", [0, 2])
def test_a_form_needs_exactly_one_file(client: UrllibClient, count: int) -> None:
    files = [("image", f"{n}.jpg", PICTURE) for n in range(count)]
    answer = client.post_form("/jobs", files, {"operation": "resize", "width": "3"})
    assert (answer.status, answer.document["errors"][0]["pointer"]) == (422, "/image_data")


def test_a_bad_image_is_accepted_and_fails(client: UrllibClient, poll: Poll) -> None:
    data = base64.b64encode(b"no image").decode()
    job_id = client.post_json("/jobs", _request(image_data=data)).document["job_id"]
    job = poll(f"/jobs/{job_id}")
    assert (job["status"], job["output_path"]) == ("failed", None)
    assert job["error"].startswith("unsupported_format: ")
    answer = client.get(f"/jobs/{job_id}/download")
    assert (answer.status, answer.document["code"]) == (409, "not_ready")
    assert answer.document["detail"] == "There is no file: the job's status is failed."


def test_before_the_end_there_is_nothing_to_download(client: UrllibClient) -> None:
    job_id = client.post_json("/api/v1/jobs", {"open": True}).document["id"]
    answer = client.get(f"/jobs/{job_id}/download")
    assert (answer.status, answer.document["code"]) == (409, "not_ready")
    job = client.get(f"/jobs/{job_id}").document
    assert job.keys() == KEYS
    assert (job["status"], job["input_path"], job["output_path"]) == ("pending", None, None)


@pytest.mark.parametrize("path", ["/jobs/nonsense", "/jobs/nonsense/download"])
def test_an_unknown_job_is_not_found(client: UrllibClient, path: str) -> None:
    assert client.get(path).document["code"] == "not_found"


def test_another_kind_of_body_is_refused(client: UrllibClient) -> None:
    assert client.post("/jobs").status == 415


def test_a_key_makes_a_repeated_submit_harmless(client: UrllibClient) -> None:
    answers = [client.post_json("/jobs", _request(), Idempotency_Key="d-1") for _ in range(2)]
    assert answers[0].document == answers[1].document
    assert answers[1].headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("value", [{}, [], 1, True])
def test_a_format_that_is_no_text_is_refused(client: UrllibClient, value: object) -> None:
    answer = client.post_json("/jobs", _request(output_format=value))
    assert (answer.status, answer.document["code"]) == (422, "invalid_request")
    assert [error["pointer"] for error in answer.document["errors"]] == ["/output_format"]
