"""Dialect A, as its clients use it: upload, poll the batch, fetch results by key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.api.dialects.clients import UrllibClient
from tests.api.dialects.conftest import Poll
from tests.pictures import make_jpeg
from tests.server_process import ServerProcess

PICTURE = make_jpeg(64, 48)
IMAGE_KEYS = {
    "image_id", "image_name", "status", "error", "created_at", "processed_at", "outputs",
}  # fmt: skip


def _files(count: int, field: str = "files") -> list[tuple[str, str, bytes]]:
    return [(field, f"{n}.jpg", make_jpeg(64 + n, 48)) for n in range(count)]


def test_a_batch_is_uploaded_polled_and_fetched_by_key(client: UrllibClient, poll: Poll) -> None:
    answer = client.post_form("/upload", [*_files(3), ("x", "bad.jpg", b"no image")], {})
    assert answer.status == 202
    batch_id = answer.document["batch_id"]
    assert answer.document == {"batch_id": batch_id, "status": "pending", "total_images": 4}
    batch = poll(f"/batch/{batch_id}")
    assert batch == {
        "batch_id": batch_id,
        "status": "completed",
        "created_at": batch["created_at"],
        "completed_at": batch["completed_at"],
        "total_images": 4,
        "processed_images": 4,
        "progress": 100.0,
    }
    assert batch["created_at"] <= batch["completed_at"]
    listing = client.get(f"/batch/{batch_id}/images").document
    assert listing["batch_id"] == batch_id
    assert all(image["created_at"] >= batch["created_at"] for image in listing["images"])
    *good, bad = listing["images"]
    for number, image in enumerate(good):
        assert image.keys() == IMAGE_KEYS
        assert (image["image_name"], image["status"]) == (f"{number}.jpg", "completed")
        assert image["error"] is None
        assert image["processed_at"] >= image["created_at"]
        assert list(image["outputs"]) == ["standard", "thumbnail", "grayscale"]
        url = image["outputs"]["thumbnail"]
        assert url == f"{client.url}/image/{image['image_id']}.thumbnail"
        with Image.open(BytesIO(client.get(url).body)) as picture:
            assert picture.format == "WEBP"
    assert (bad["status"], bad["processed_at"], bad["outputs"]) == ("failed", None, {})
    assert bad["error"].startswith("unsupported_format")
    native = client.get(f"/api/v1/jobs/{batch_id}").document
    assert (native["status"], native["source"]) == ("partial", "upload")


def test_a_single_file_is_a_task_too(client: UrllibClient, poll: Poll) -> None:
    answer = client.post_form("/upload", _files(1, "whatever"), {}).document
    assert answer["task_id"] == answer["batch_id"]
    task = poll(f"/status/{answer['task_id']}")
    assert task.keys() == {
        "task_id", "status", "error", "created_at", "updated_at", "image_keys",
    }  # fmt: skip
    assert (task["status"], task["error"], len(task["image_keys"])) == ("completed", None, 3)
    for key in task["image_keys"]:
        answer = client.get(f"/image/{key}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
        etag = answer.headers["ETag"]
        assert client.get(f"/image/{key}", If_None_Match=etag).status == 304
        assert client.get(f"/image/{key}", Range="bytes=0-3").body == b"RIFF"


def test_a_task_that_fails_says_why(client: UrllibClient, poll: Poll) -> None:
    task_id = client.post_form("/upload", [("f", "a.jpg", b"")], {}).document["task_id"]
    task = poll(f"/status/{task_id}")
    assert (task["status"], task["image_keys"]) == ("failed", [])
    assert task["error"].startswith("empty_image: ")


def test_the_keys_of_a_task_are_sent_as_they_are_read(client: UrllibClient) -> None:
    task_id = client.post_form("/upload", _files(2), {}).document["batch_id"]
    answer = client.get(f"/status/{task_id}")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert list(answer.document)[-1] == "image_keys"


def test_what_was_cancelled_shows_as_failed(client: UrllibClient) -> None:
    batch_id = client.post_json("/api/v1/jobs", {"open": True}).document["id"]
    gone = client.post_form(f"/api/v1/jobs/{batch_id}/images", _files(1), {})
    assert gone.status == 202
    client.post(f"/api/v1/jobs/{batch_id}/cancel")
    batch = client.get(f"/batch/{batch_id}").document
    (image,) = client.get(f"/batch/{batch_id}/images").document["images"]
    if image["status"] == "failed":  # it may have been finished before the cancel
        assert (image["error"], image["processed_at"]) == ("cancelled", None)
        assert batch["status"] == "failed"
        assert client.get(f"/status/{batch_id}").document["error"] == "cancelled"


@pytest.mark.parametrize(
    ("fields", "variant", "size", "format_"),
    [
        ({"operation": "resize", "width": "30", "height": "30"}, "resize", (30, 30), "JPEG"),
        ({"operation": "thumbnail", "width": "32"}, "thumbnail", (32, 24), "JPEG"),
        ({"width": "32", "height": "32", "output_format": "png"}, "thumbnail", (32, 24), "PNG"),
        ({"preset": "thumbnail"}, "thumbnail", (64, 48), "WEBP"),
        ({"preset": "", "operation": ""}, "standard", (64, 48), "WEBP"),
    ],
)
def test_fields_choose_what_is_made(
    client: UrllibClient,
    poll: Poll,
    fields: dict[str, str],
    variant: str,
    size: tuple[int, int],
    format_: str,
) -> None:
    task_id = client.post_form("/upload", [("f", "a.jpg", PICTURE)], fields).document["task_id"]
    key = poll(f"/status/{task_id}")["image_keys"][0]
    assert key.endswith(f".{variant}")
    with Image.open(BytesIO(client.get(f"/image/{key}").body)) as picture:
        assert (picture.size, picture.format) == (size, format_)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"operation": "explode", "width": "3"}, "/operation"),
        ({"operation": "resize"}, "/width"),
        ({"width": "-3"}, "/width"),
        ({"height": "0"}, "/height"),
        ({"output_format": "bmp"}, "/output_format"),
        ({"width": "3", "output_format": "bmp"}, "/output_format"),
        ({"preset": "nonsense"}, "/preset"),
        ({"preset": "standard", "width": "3"}, "/preset"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_a_wrong_field_is_refused_by_its_own_name(
    client: UrllibClient, fields: dict[str, str], pointer: str
) -> None:
    answer = client.post_form("/upload", [("f", "a.jpg", PICTURE)], fields)
    assert (answer.status, answer.document["code"]) == (422, "invalid_request")
    assert answer.document["errors"][0]["pointer"] == pointer


def test_an_upload_without_a_file_is_refused(client: UrllibClient) -> None:
    assert client.post_form("/upload", [], {"preset": "standard"}).status == 422
    assert client.post_json("/upload", {}).status == 415


@pytest.mark.parametrize(
    "path",
    ["/batch/x", "/batch/x/images", "/status/x", "/image/x", "/image/x.standard", "/image/."],
)
def test_what_is_not_there_is_not_found(client: UrllibClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status, answer.document["code"]) == (404, "not_found")


def test_many_upload_at_once_and_long_lists_are_whole(client: UrllibClient, poll: Poll) -> None:
    def upload(number: int) -> list[str]:
        files = [("f", f"{number}-{n}.jpg", PICTURE) for n in range(300)]
        batch_id = client.post_form("/upload", files, {"preset": "thumbnail"}).document["batch_id"]
        assert poll(f"/batch/{batch_id}")["processed_images"] == 300
        listing = client.get(f"/batch/{batch_id}/images").document
        return [image["image_name"] for image in listing["images"]]

    with ThreadPoolExecutor(4) as pool:
        for number, names in enumerate(pool.map(upload, range(4))):
            assert names == [f"{number}-{n}.jpg" for n in range(300)]


def test_absolute_urls_follow_the_base_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGSVC_SERVER__BASE_URL", "https://images.example/service/")
    server = ServerProcess(tmp_path / "data", workers=1)
    try:
        client = UrllibClient(server.url)
        batch_id = client.post_form("/upload", [("f", "a.jpg", PICTURE)], {}).document["batch_id"]
        while client.get(f"/batch/{batch_id}").document["status"] != "completed":
            pass
        (image,) = client.get(f"/batch/{batch_id}/images").document["images"]
        url = f"https://images.example/service/image/{image['image_id']}.standard"
        assert image["outputs"]["standard"] == url
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("fields", "variant"),
    [
        ({"output_format": "png"}, {"name": "converted", "format": "png"}),
        ({"operation": "thumbnail"}, {"name": "thumbnail", "width": 200, "height": 200}),
    ],
)
def test_every_field_is_optional(
    client: UrllibClient, fields: dict[str, str], variant: dict[str, object]
) -> None:
    answer = client.post_form("/upload", [("f", "a.jpg", PICTURE)], fields)
    assert answer.headers["Location"].startswith("http://")
    job = client.get(f"/api/v1/jobs/{answer.document['batch_id']}").document
    (made,) = job["recipe"]["variants"]
    assert variant.items() <= made.items()
