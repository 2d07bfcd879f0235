"""Dialect B, as its clients use it: post a document, poll it or follow it by WebSocket."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.api.dialects.clients import UrllibClient
from tests.api.dialects.conftest import Poll
from tests.pictures import make_jpeg

PICTURE = make_jpeg(64, 48)
MIB = 1 << 20
JOB_KEYS = {
    "job_id", "status", "total_images", "completed", "failed", "progress", "created_at",
    "updated_at",
}  # fmt: skip
IMAGE_KEYS = {
    "index", "original_filename", "status", "trace_id", "processed_path", "error",
}  # fmt: skip
MESSAGE_KEYS = {
    "type", "job_id", "status", "progress", "completed", "failed", "total_images",
}  # fmt: skip


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _batch(*contents: bytes) -> dict[str, Any]:
    images = [{"base64": _text(c), "name": f"{n}.jpg"} for n, c in enumerate(contents)]
    return {"images": images}


def _submit(client: UrllibClient, *contents: bytes) -> str:
    answer = client.post_json("/api/v1/batch", _batch(*contents))
    assert answer.status == 202, answer.document
    job_id: str = answer.document["job_id"]
    return job_id


def _follow(client: UrllibClient, job_id: str) -> list[dict[str, Any]]:
    """Every message, by a client that knows nothing of ours."""
    url = client.url.replace("http", "ws", 1) + f"/api/v1/batch/{job_id}/ws"
    with connect(url) as socket:
        messages = [json.loads(text) for text in socket]
        assert socket.close_code == 1000
    return messages


def test_a_batch_is_submitted_polled_and_fetched(client: UrllibClient, poll: Poll) -> None:
    images = [
        {"base64": _text(PICTURE), "name": "a.jpg"},
        {"base64": "data:image/jpeg;base64," + _text(make_jpeg(65, 48))},
        {"base64": _text(b"no image"), "name": "bad.jpg"},
    ]
    answer = client.post_json("/api/v1/batch", {"images": images})
    assert answer.status == 202
    job_id = answer.document["job_id"]
    assert answer.document == {
        "job_id": job_id,
        "status": "pending",
        "created_at": answer.document["created_at"],
        "message": "3 images were accepted.",
    }
    assert answer.headers["Location"] == f"{client.url}/api/v1/batch/{job_id}"
    job = poll(f"/api/v1/batch/{job_id}")
    assert job.keys() == JOB_KEYS | {"images"}
    assert (job["job_id"], job["status"], job["progress"]) == (job_id, "completed", 100.0)
    assert (job["total_images"], job["completed"], job["failed"]) == (3, 2, 1)
    assert job["created_at"] == answer.document["created_at"] <= job["updated_at"]
    for index, image in enumerate(job["images"]):
        assert (image.keys(), image["index"]) == (IMAGE_KEYS, index)
    names = [image["original_filename"] for image in job["images"]]
    assert names == ["a.jpg", "image-1", "bad.jpg"]
    *good, bad = job["images"]
    for image in good:
        assert (image["status"], image["error"]) == ("completed", None)
        assert image["processed_path"].startswith(f"{client.url}/")
        with Image.open(BytesIO(client.get(image["processed_path"]).body)) as picture:
            assert picture.format == "WEBP"
    assert (bad["status"], bad["processed_path"]) == ("failed", None)
    assert bad["error"].startswith("unsupported_format: ")
    native = client.get(f"/api/v1/jobs/{job_id}").document
    assert (native["status"], native["source"], native["preset"]) == (
        "partial",
        "batch",
        "standard",
    )
    trace_id = client.get(f"/api/v1/jobs/{job_id}/images/0").document["id"]
    assert job["images"][0]["trace_id"] == trace_id


def test_batches_are_listed_without_their_images(client: UrllibClient, poll: Poll) -> None:
    older, newer = (_submit(client, make_jpeg(66, n)) for n in (40, 41))
    poll(f"/api/v1/batch/{newer}")
    jobs = client.get("/api/v1/batch").document["jobs"]
    assert [job["job_id"] for job in jobs[:2]] == [newer, older]
    assert all(job.keys() == JOB_KEYS for job in jobs)
    assert (jobs[0]["status"], jobs[0]["completed"]) == ("completed", 1)


def test_a_follower_is_told_of_every_image_and_then_of_the_end(client: UrllibClient) -> None:
    pictures = [make_jpeg(300 + n, 200) for n in range(8)]
    job_id = _submit(client, *pictures, b"no image", b"")
    messages = _follow(client, job_id)
    _check_story(messages, job_id, completed=8, failed=2)


def test_who_connects_after_the_end_is_told_the_same(client: UrllibClient, poll: Poll) -> None:
    job_id = _submit(client, make_jpeg(67, 48), b"no image")
    poll(f"/api/v1/batch/{job_id}")
    messages = _follow(client, job_id)
    assert [message["type"] for message in messages] == [
        "progress", "image_completed", "image_failed", "job_complete",
    ]  # fmt: skip
    _check_story(messages, job_id, completed=1, failed=1)
    assert messages[0]["progress"] == 100.0
    images = client.get(f"/api/v1/batch/{job_id}").document["images"]
    assert [message["image"] for message in messages[1:-1]] == images


def _check_story(
    messages: list[dict[str, Any]], job_id: str, *, completed: int, failed: int
) -> None:
    first, *between, last = messages
    assert (first["type"], last["type"]) == ("progress", "job_complete")
    told = []
    for message in messages:
        image = message["type"].startswith("image_")
        assert message.keys() == MESSAGE_KEYS | ({"image"} if image else set())
        assert (message["job_id"], message["total_images"]) == (job_id, completed + failed)
    for message in between:
        assert message["type"] in {"progress", "image_completed", "image_failed"}
        if "image" in message:
            assert message["image"].keys() == IMAGE_KEYS
            assert message["type"] == f"image_{message['image']['status']}"
            told.append(message["image"]["index"])
    assert sorted(told) == list(range(completed + failed))
    done = [message["completed"] + message["failed"] for message in messages]
    assert done == sorted(done)
    assert (last["completed"], last["failed"]) == (completed, failed)
    assert (last["status"], last["progress"]) == ("completed", 100.0)


def test_an_image_of_more_than_ten_mib_fails_and_no_other(client: UrllibClient, poll: Poll) -> None:
    largest = PICTURE + bytes(10 * MIB - len(PICTURE))
    job_id = _submit(client, largest, largest + b"\0", PICTURE)
    images = poll(f"/api/v1/batch/{job_id}")["images"]
    assert [image["status"] for image in images] == ["completed", "failed", "completed"]
    assert images[1]["error"].startswith("too_many_bytes: ")


@pytest.mark.parametrize("image", [{"base64": _text(PICTURE)}, {"url": "http://127.0.0.1:1/a.jpg"}])
def test_a_hundred_images_are_taken_and_no_more(
    client: UrllibClient, image: dict[str, str]
) -> None:
    before = client.get("/api/v1/batch").document["jobs"]
    answer = client.post_json("/api/v1/batch", {"images": [image] * 101})
    assert (answer.status, answer.document["code"]) == (413, "too_many_images")
    after = client.get("/api/v1/batch").document["jobs"]
    assert [job["job_id"] for job in after] == [job["job_id"] for job in before]
    answer = client.post_json("/api/v1/batch", {"images": [image] * 100})
    assert answer.status == 202
    client.delete(f"/api/v1/jobs/{answer.document['job_id']}")


def test_what_nobody_may_fetch_fails_alone(client: UrllibClient, poll: Poll) -> None:
    images = [{"url": "http://127.0.0.1/a.jpg", "name": "a.jpg"}, {"url": "ftp://example.org/b"}]
    answer = client.post_json("/api/v1/batch", {"images": images})
    job = poll(f"/api/v1/batch/{answer.document['job_id']}")
    assert (job["status"], job["failed"]) == ("failed", 2)
    assert [image["original_filename"] for image in job["images"]] == ["a.jpg", "image-1"]
    assert all(image["error"].startswith("fetch_blocked: ") for image in job["images"])


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({}, "/images"),
        ({"images": []}, "/images"),
        ({"images": {}}, "/images"),
        ({"images": ["x"]}, "/images/0"),
        ({"images": [{}]}, "/images/0"),
        ({"images": [{"base64": "", "url": ""}]}, "/images/0"),
        ({"images": [{"base64": 7}]}, "/images/0/base64"),
        ({"images": [{"url": 7}]}, "/images/0/url"),
        ({"images": [{"data": ""}]}, "/images/0/data"),
        ({"images": [{"base64": "", "colour": "red"}]}, "/images/0/colour"),
        ({"images": [{"base64": "", "name": 7}]}, "/images/0/name"),
        ({"images": [{"base64": ""}], "preset": "standard"}, "/preset"),
        ([], ""),
    ],
)
def test_a_wrong_field_is_refused_by_its_own_name(
    client: UrllibClient, document: object, pointer: str
) -> None:
    answer = client.post_json("/api/v1/batch", document)
    assert (answer.status, answer.document["code"]) == (422, "invalid_request")
    assert answer.document["errors"][0]["pointer"] == pointer
    assert answer.headers["Content-Type"].startswith("application/problem+json")


def test_broken_base64_fails_that_image(client: UrllibClient, poll: Poll) -> None:
    images = [{"base64": "a photo!"}, {"base64": "data:image/png,abc"}, {"base64": ""}]
    answer = client.post_json("/api/v1/batch", {"images": images})
    job = poll(f"/api/v1/batch/{answer.document['job_id']}")
    codes = [image["error"].partition(":")[0] for image in job["images"]]
    assert codes == ["invalid_data", "invalid_data", "empty_image"]


def test_another_kind_of_body_is_refused(client: UrllibClient) -> None:
    assert client.post("/api/v1/batch").status == 415
    assert client.post_form("/api/v1/batch", [("f", "a.jpg", PICTURE)], {}).status == 415


def test_a_key_makes_a_repeated_submit_harmless(client: UrllibClient) -> None:
    large = PICTURE + bytes(10 * MIB)
    batches = [_batch(PICTURE, large), _batch(PICTURE, large), _batch(PICTURE)]
    first, again, other = (
        client.post_json("/api/v1/batch", batch, Idempotency_Key="b-1") for batch in batches
    )
    assert first.document == again.document
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert other.document["code"] == "idempotency_mismatch"


@pytest.mark.parametrize("path", ["/api/v1/batch/nonsense", "/api/v1/batch/nonsense/ws"])
def test_an_unknown_batch_is_not_found(client: UrllibClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status, answer.document["code"]) == (404, "not_found")


def test_an_unknown_batch_cannot_be_followed(client: UrllibClient) -> None:
    with pytest.raises(InvalidStatus) as caught:
        _follow(client, "nonsense")
    assert caught.value.response.status_code == 404


def test_the_socket_is_no_page(client: UrllibClient) -> None:
    answer = client.get(f"/api/v1/batch/{_submit(client, PICTURE)}/ws")
    assert (answer.status, answer.document["code"]) == (406, "not_acceptable")
