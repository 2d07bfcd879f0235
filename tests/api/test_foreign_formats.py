"""Formats that only Pillow's plug-ins read, through the whole service."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image as PillowImage

from tests import foreign, pictures
from tests.servers import Running, get_json, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_phones_heic_is_made_upright_in_every_variant(server: Running) -> None:
    heic = foreign.make_oriented_heic(6, 400, 300)
    job = await submit(server, ("IMG_0001.HEIC", heic), ("scan.jxl", foreign.make_jxl(90, 60)))
    assert job["status"] == "completed"
    first, second = (await get_json(server, job["links"]["images"]))["items"]
    assert first["input"] | {"sha256": None} == {
        "format": "heic",
        "width": 300,
        "height": 400,
        "frames": 1,
        "size_bytes": len(heic),
        "sha256": None,
    }
    assert second["input"]["format"] == "jxl"
    thumbnail = next(o for o in first["outputs"] if o["variant"] == "thumbnail")
    async with server.http.get(thumbnail["url"]) as answer:
        with PillowImage.open(io.BytesIO(await answer.read())) as picture:
            assert (picture.format, picture.size) == ("WEBP", (150, 200))


async def test_one_bad_file_of_a_new_format_fails_alone(server: Running) -> None:
    job = await submit(
        server,
        ("a.heic", pictures.cut(foreign.make_heic(), 0.7)),
        ("b.psd", foreign.make_psd([b""], 60_000, 60_000, foreign.PSD_GREY)),
        ("c.qoi", struct.pack(">4sII", b"qoif", 4, 4)),
        ("d.bmp", foreign.make_bmp()),
        preset="thumbnail",
    )
    images = (await get_json(server, job["links"]["images"]))["items"]
    codes = [image["error"] and image["error"]["code"] for image in images]
    assert codes == ["corrupt_image", "too_many_pixels", "corrupt_image", None]
