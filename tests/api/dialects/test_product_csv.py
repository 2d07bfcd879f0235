"""Dialect C, as its clients use it: upload a CSV, poll, download a CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from io import BytesIO, StringIO
from typing import Any

import pytest
from PIL import Image

from tests.api.dialects.clients import Answer, UrllibClient
from tests.api.dialects.shops import Shop, open_shop
from tests.pictures import make_jpeg
from tests.server_process import ServerProcess

HEADER = "S. No.,Product Name,Input Image Urls"

Upload = Callable[..., str]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UrllibClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGSVC_FETCH__ALLOW_PRIVATE", "true")
        patch.setenv("IMGSVC_WEBHOOKS__ALLOW_PRIVATE", "true")
        running = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    yield UrllibClient(running.url)
    running.stop()


@pytest.fixture
def shop() -> Iterator[Shop]:
    pictures = {"/a.jpg": make_jpeg(64, 48), "/b.jpg": make_jpeg(48, 64), "/bad.jpg": b"none"}
    with open_shop(pictures) as running:
        yield running


def post_list(
    client: UrllibClient, content: str | bytes, path: str = "/api/upload", **fields: str
) -> Answer:
    body = content.encode() if isinstance(content, str) else content
    return client.post_form(path, [("file", "products.csv", body)], fields)


def upload(client: UrllibClient, content: str | bytes, **fields: str) -> str:
    answer = post_list(client, content, **fields)
    assert answer.status == 202, answer.body
    request_id = answer.document["request_id"]
    assert answer.document == {"request_id": request_id, "status": "PENDING"}
    return str(request_id)


def poll(client: UrllibClient, request_id: str) -> Any:
    while True:
        document = client.get(f"/api/status/{request_id}").document
        if document["status"] not in ("PENDING", "PROCESSING"):
            return document


def rows_of(answer: Answer, delimiter: str = ",") -> list[list[str]]:
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/csv; charset=utf-8")
    text = answer.body.decode("utf-8-sig")
    return list(csv.reader(StringIO(text, newline=""), delimiter=delimiter))


def size_of(content: bytes) -> tuple[str | None, tuple[int, int]]:
    with Image.open(BytesIO(content)) as picture:
        return picture.format, picture.size


def test_a_list_is_uploaded_polled_and_downloaded(client: UrllibClient, shop: Shop) -> None:
    both = f"{shop.url('/a.jpg')}, {shop.url('/gone.jpg')}, {shop.url('/b.jpg')}"
    bad = shop.url("/bad.jpg")
    content = f'{HEADER},Colour\n1,SKU1,"{both}",röd\n20,"SKU,2",{bad},\n'
    request_id = upload(client, content)
    status = poll(client, request_id)
    assert set(status) == {
        "request_id", "status", "completion_percentage", "created_at", "updated_at", "products",
    }  # fmt: skip
    assert (status["request_id"], status["status"]) == (request_id, "COMPLETED")
    assert status["completion_percentage"] == 100.0
    first, second = status["products"]
    outputs = first.pop("output_image_urls")
    assert first == {
        "serial_number": 1, "product_name": "SKU1", "status": "COMPLETED",
        "input_image_urls": both.split(", "),
    }  # fmt: skip
    assert second == {
        "serial_number": 20, "product_name": "SKU,2", "status": "FAILED",
        "input_image_urls": [bad], "output_image_urls": [""],
    }  # fmt: skip
    assert outputs[1] == ""
    assert size_of(client.get(outputs[0]).body) == ("JPEG", (64, 48))
    assert size_of(client.get(outputs[2]).body) == ("JPEG", (48, 64))
    job = client.get(f"/api/v1/jobs/{request_id}").document
    assert (job["source"], job["preset"], job["status"]) == ("csv", "compress", "partial")
    answer = client.get(f"/api/download/{request_id}")
    assert f"{request_id}.csv" in answer.headers["Content-Disposition"]
    assert rows_of(answer) == [
        [*HEADER.split(","), "Colour", "Output Image Urls"],
        ["1", "SKU1", both, "röd", ",".join(outputs)],
        ["20", "SKU,2", bad, "", ""],
    ]


def test_everything_is_there_under_the_native_prefix_too(client: UrllibClient, shop: Shop) -> None:
    answer = post_list(client, f"{HEADER}\n1,S,{shop.url('/a.jpg')}\n", "/api/v1/upload")
    request_id = answer.document["request_id"]
    status = poll(client, request_id)
    assert client.get(f"/api/v1/status/{request_id}").document == status
    paths = [f"{prefix}/download/{request_id}" for prefix in ("/api", "/api/v1")]
    assert len({client.get(path).body for path in paths}) == 1
    hook = {"request_id": request_id, "webhook_url": shop.url("/hook")}
    assert client.post_json("/api/v1/webhook", hook).document == hook


def test_a_request_shows_how_far_it_is_and_has_no_result_before_its_end(
    client: UrllibClient, shop: Shop
) -> None:
    shop.gate.clear()
    request_id = upload(client, f"{HEADER}\n1,S,{shop.url('/a.jpg')}\n")
    while (status := client.get(f"/api/status/{request_id}").document)["status"] == "PENDING":
        pass
    assert (status["status"], status["completion_percentage"]) == ("PROCESSING", 0.0)
    (product,) = status["products"]
    assert (product["status"], product["output_image_urls"]) == ("PROCESSING", [""])
    answer = client.get(f"/api/download/{request_id}")
    assert (answer.status, answer.document["code"]) == (409, "not_ready")
    shop.gate.set()
    assert poll(client, request_id)["products"][0]["status"] == "COMPLETED"
    assert client.get(f"/api/download/{request_id}").status == 200


def test_a_request_that_was_cancelled_has_failed(client: UrllibClient, shop: Shop) -> None:
    shop.gate.clear()
    request_id = upload(client, f"{HEADER}\n1,S,{shop.url('/a.jpg')}\n")
    assert client.post(f"/api/v1/jobs/{request_id}/cancel").status == 200
    status = poll(client, request_id)
    assert (status["status"], status["products"][0]["status"]) == ("FAILED", "FAILED")
    assert rows_of(client.get(f"/api/download/{request_id}"))[1][-1] == ""


def test_the_result_is_written_as_the_list_was(client: UrllibClient, shop: Shop) -> None:
    url = shop.url("/a.jpg")
    lines = [
        "Serial No;product_name;INPUT IMAGE URLS;Note",
        f"1;Größe;{url};=1+1",
        f"2;-5;{url};a,b",
    ]
    request_id = upload(client, "\r\n".join(lines).encode("utf-8-sig"))
    poll(client, request_id)
    answer = client.get(f"/api/download/{request_id}")
    assert answer.body.startswith(b"\xef\xbb\xbf")
    assert b"\n" not in answer.body.replace(b"\r\n", b"")
    rows = rows_of(answer, ";")
    assert [row[:4] for row in rows[1:]] == [["1", "Größe", url, "'=1+1"], ["2", "-5", url, "a,b"]]
    assert client.get(rows[1][4]).status == 200


@pytest.mark.parametrize("cell", [",{a},,{gone},{b}, ", "{a},\n{b}\n{a}", "{a} , {b}", ", , {a}"])
def test_places_of_the_result_match_those_of_the_list(
    client: UrllibClient, shop: Shop, cell: str
) -> None:
    sent = cell.format(a=shop.url("/a.jpg"), b=shop.url("/b.jpg"), gone=shop.url("/gone.jpg"))
    request_id = upload(client, f'{HEADER}\n1,SKU,"{sent}"\n')
    poll(client, request_id)
    (_, row) = rows_of(client.get(f"/api/download/{request_id}"))
    places = sent.replace(",\n", ",").replace("\n", ",").split(",")
    fetched = [bool(place.strip()) and "gone" not in place for place in places]
    assert [bool(url) for url in row[-1].split(",")] == fetched


def test_a_result_can_be_uploaded_again(client: UrllibClient, shop: Shop) -> None:
    content: str | bytes = f"{HEADER}\n1,S,{shop.url('/a.jpg')}\n"
    titles = []
    for _ in range(3):
        request_id = upload(client, content)
        poll(client, request_id)
        answer = client.get(f"/api/download/{request_id}")
        content, titles = answer.body, rows_of(answer)[0]
    assert titles[3:] == [
        "source Output Image Urls", "source source Output Image Urls", "Output Image Urls",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "pointers"),
    [
        (f"{HEADER}\nx,,ftp://a\n", ["S. No.", "Product Name", "Input Image Urls"]),
        ("Product Name\nS\n", ["S. No.", "Input Image Urls"]),
        ("", []),
        (b"\x89PNG\r\n\x1a\n\0", []),
    ],
)
def test_a_bad_file_is_refused_and_nothing_is_made(
    client: UrllibClient, content: str | bytes, pointers: list[str]
) -> None:
    before = job_ids(client)
    answer = post_list(client, content)
    assert (answer.status, answer.document["code"]) == (422, "invalid_csv")
    found = [fault["pointer"].rpartition("/")[2] for fault in answer.document["errors"]]
    assert found[: len(pointers)] == pointers
    assert found
    assert job_ids(client) == before


def job_ids(client: UrllibClient) -> list[str]:
    return [job["id"] for job in client.get("/api/v1/jobs").document["items"]]


@pytest.mark.parametrize(
    ("files", "fields", "status"),
    [
        (0, {}, 422),
        (2, {}, 422),
        (1, {"preset": "web"}, 422),
        (1, {"webhook_url": "ftp://a.example"}, 422),
        (1, {"webhook_url": "https://a.example/" + "x" * 238}, 422),
        (1, {"webhook_url": ""}, 202),
    ],
)
def test_a_form_has_one_file_and_at_most_a_webhook(
    client: UrllibClient, files: int, fields: dict[str, str], status: int
) -> None:
    content = f"{HEADER}\n1,S,http://127.0.0.1:9/a.jpg\n".encode()
    answer = client.post_form("/api/upload", [("csv", "p.csv", content)] * files, fields)
    assert answer.status == status
    if status == 422:
        assert answer.document["code"] == "invalid_request"
        assert answer.document["errors"]


def test_that_the_file_is_missing_is_said_before_what_came_instead(client: UrllibClient) -> None:
    answer = client.post_form("/api/upload", [], {"list": "S. No."})
    assert answer.document["detail"] == "file: A CSV file is needed."
    assert [error["pointer"] for error in answer.document["errors"]] == ["/file", "/list"]


def test_unknown_fields_are_pointed_to_and_not_all_of_very_many(client: UrllibClient) -> None:
    fields = {"a/b~": 1, **dict.fromkeys(map(str, range(1000, 1200)), 1)}
    for path, document in (("/jobs", fields), ("/api/webhook", fields)):
        answer = client.post_json(path, document)
        assert (answer.status, answer.document["detail"]) == (422, "1000: unknown field.")
        assert len(answer.document["errors"]) == 100
    answer = client.post_form("/api/upload", [], {"a/b~": "1"})
    assert answer.document["errors"][1]["pointer"] == "/a~1b~0"


def test_only_a_form_is_taken(client: UrllibClient) -> None:
    assert client.post_json("/api/upload", {}).status == 415


def test_the_same_key_and_list_is_one_request(client: UrllibClient, shop: Shop) -> None:
    content = f"{HEADER}\n1,S,{shop.url('/a.jpg')}\n".encode()

    def send(content: bytes) -> Answer:
        files = [("file", "p.csv", content)]
        return client.post_form("/api/upload", files, {}, Idempotency_Key="products-1")

    first, again = send(content), send(content)
    assert again.document == first.document
    assert again.headers["Idempotency-Replayed"] == "true"
    assert send(content.replace(b",S,", b",T,")).document["code"] == "idempotency_mismatch"


def test_a_webhook_given_with_the_list_is_told_of_the_end(client: UrllibClient, shop: Shop) -> None:
    content = f"{HEADER}\n1,S,{shop.url('/a.jpg')}\n"
    request_id = upload(client, content, webhook_url=shop.url("/hook"))
    (message,) = map(json.loads, shop.wait_for(1))
    assert (message["type"], message["data"]["job"]["id"]) == ("job.finished", request_id)


def test_a_webhook_given_later_is_told_at_once_of_any_job_that_is_final(
    client: UrllibClient, shop: Shop
) -> None:
    answer = client.post_form("/upload", [("file", "a.jpg", make_jpeg())], {})
    job_id = answer.document["batch_id"]
    poll(client, job_id)
    hook = {"request_id": job_id, "webhook_url": shop.url("/hook")}
    answer = client.post_json("/api/webhook", hook)
    assert (answer.status, answer.document) == (200, hook)
    (message,) = map(json.loads, shop.wait_for(1))
    assert message["data"]["job"]["links"]["self"] == f"{client.url}/api/v1/jobs/{job_id}"


def test_a_webhook_given_while_it_runs_is_told_of_the_end(client: UrllibClient, shop: Shop) -> None:
    shop.gate.clear()
    first = shop.url("/first")
    request_id = upload(client, f"{HEADER}\n1,S,{shop.url('/a.jpg')}\n", webhook_url=first)
    hook = {"request_id": request_id, "webhook_url": shop.url("/second")}
    assert client.post_json("/api/webhook", hook).status == 200
    assert shop.told == []
    shop.gate.set()
    poll(client, request_id)
    shop.wait_for(1)
    deliveries = client.get(f"/api/v1/jobs/{request_id}/deliveries").document["items"]
    assert len(deliveries) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"request_id": "none", "webhook_url": "https://a.example"}, 404),
        ({"request_id": "\ud800", "webhook_url": "https://a.example"}, (400, 404)),
        ({"request_id": 5, "webhook_url": "https://a.example"}, 422),
        ({"webhook_url": "https://a.example"}, 422),
        ({"request_id": "none", "webhook_url": "https://a.example", "events": []}, 422),
        ([], 422),
    ],
)
def test_a_webhook_that_makes_no_sense_is_refused(
    client: UrllibClient, body: Any, status: int | tuple[int, int]
) -> None:
    answer = client.post_json("/api/webhook", body)
    assert answer.status in (status if isinstance(status, tuple) else (status,))


@pytest.mark.parametrize("url", ["ftp://a.example", "nonsense", "https://a.example/" + "x" * 238])
def test_a_webhooks_url_is_checked(client: UrllibClient, shop: Shop, url: str) -> None:
    request_id = upload(client, f"{HEADER}\n1,S,{shop.url('/a.jpg')}\n")
    answer = client.post_json("/api/webhook", {"request_id": request_id, "webhook_url": url})
    assert (answer.status, answer.document["code"]) == (422, "invalid_request")
    assert answer.document["errors"][0]["pointer"] == "/webhook_url"


@pytest.mark.parametrize("path", ["status", "download"])
def test_an_unknown_request_is_not_found(client: UrllibClient, path: str) -> None:
    answer = client.get(f"/api/{path}/nonsense")
    assert answer.status == 404
    webhook = {"request_id": "nonsense", "webhook_url": "https://a.example"}
    assert client.post_json("/api/webhook", webhook).document["detail"] == answer.document["detail"]


def test_a_job_that_came_otherwise_shows_its_images_as_products(client: UrllibClient) -> None:
    files = [("f", "a.jpg", make_jpeg()), ("f", "b.jpg", b"none")]
    job_id = client.post_form("/upload", files, {"preset": "thumbnail"}).document["batch_id"]
    products = poll(client, job_id)["products"]
    assert [(p["serial_number"], p["product_name"], p["status"]) for p in products] == [
        (1, "a.jpg", "COMPLETED"), (2, "b.jpg", "FAILED"),
    ]  # fmt: skip
    rows = rows_of(client.get(f"/api/download/{job_id}"))
    assert rows[0] == [*HEADER.split(","), "Output Image Urls"]
    assert rows[1] == ["1", "a.jpg", "", products[0]["output_image_urls"][0]]
    assert rows[2] == ["2", "b.jpg", "", ""]
