"""Watermarks from Python, with and without asyncio."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsvc.client import ApiError, Client, LocalFileError, SyncClient
from tests.client.pictures import picture
from tests.server_process import ServerProcess


async def test_a_watermark_is_saved_shown_listed_and_deleted(
    client: Client, tmp_path: Path
) -> None:
    file = tmp_path / "logo.png"
    file.write_bytes(picture("red"))
    saved = await client.save_watermark("from-file", file)
    assert saved["name"] == "from-file"
    assert await client.watermark("from-file") == saved
    assert saved in await client.watermarks()
    assert (await client.save_watermark("from-bytes", picture("red")))["sha256"] == saved["sha256"]
    for name in ("from-file", "from-bytes"):
        await client.delete_watermark(name)
    with pytest.raises(ApiError) as caught:
        await client.watermark("from-file")
    assert caught.value.code == "not_found"


async def test_what_is_no_picture_is_told_by_its_code(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ApiError) as caught:
        await client.save_watermark("bad", b"no picture")
    assert caught.value.code == "unsupported_format"
    with pytest.raises(LocalFileError):
        await client.save_watermark("bad", tmp_path / "nothing.png")


def test_the_same_without_asyncio(server: ServerProcess) -> None:
    with SyncClient(server.url) as client:
        saved = client.save_watermark("in-step", picture("blue"))
        assert client.watermark("in-step") == saved
        assert saved in client.watermarks()
        client.delete_watermark("in-step")
