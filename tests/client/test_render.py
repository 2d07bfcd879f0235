"""One image made while the caller waits."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from imgsvc.client import ApiError, BytesUpload, Client, LocalFileError, SyncClient
from tests.client.pictures import picture
from tests.server_process import ServerProcess

UPLOAD = BytesUpload(picture(size=(60, 40)), "a.png")


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


async def test_a_file_is_made_by_the_fields_of_a_variant(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture(size=(60, 40)))
    made = _open(
        await client.render(
            path, width=20, height=20, mode="fill", gravity={"x": 0.2, "y": 1}, format="jpeg",
            grayscale=True, sharpen=1.5, flip=False, quality=None,
        )
    )  # fmt: skip
    assert (made.format, made.size, made.mode) == ("JPEG", (20, 20), "L")


async def test_a_file_is_made_by_a_variant_of_a_preset(client: Client) -> None:
    made = _open(await client.render(UPLOAD, preset="standard", variant="grayscale"))
    assert (made.format, made.size) == ("WEBP", (60, 40))


async def test_nothing_of_it_becomes_a_job(client: Client) -> None:
    before = [job["id"] async for job in client.jobs()]
    await client.render(UPLOAD)
    assert [job["id"] async for job in client.jobs()] == before


async def test_what_cannot_be_made_raises_its_code(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ApiError) as caught:
        await client.render(BytesUpload(b"no image", "a.jpg"), width=3)
    assert (caught.value.code, caught.value.status) == ("unsupported_format", 422)
    with pytest.raises(ApiError) as caught:
        await client.render(UPLOAD, width=0)
    assert [fault.pointer for fault in caught.value.errors] == ["/width"]
    with pytest.raises(LocalFileError):
        await client.render(tmp_path / "missing.jpg")


def test_it_is_made_without_asyncio_too(server: ServerProcess) -> None:
    with SyncClient(server.url) as client:
        assert _open(client.render(UPLOAD, width=30)).size == (30, 20)
