"""Images received as file parts or as a whole body."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.stage import Stage
from imgsvc.domain.ids import new_id
from imgsvc.domain.image import NewImage, SourceKind
from imgsvc.errors import ImageErrorCode, PayloadTooLarge
from imgsvc.intake.multipart import FilePart, read_multipart
from imgsvc.intake.reception import receive_body, receive_part
from tests.intake.streams import documents, stream


@pytest.fixture
def stage(blobs: BlobStore) -> Stage:
    return blobs.stage(new_id())


def inputs(blobs: BlobStore, stage: Stage) -> list[Path]:
    folder = blobs.input_path(stage.job_id, new_id()).parent
    return sorted(folder.iterdir()) if folder.exists() else []


def part(*chunks: bytes, filename: str | None = "d/a.jpg") -> FilePart:
    return FilePart("files", filename, None, stream(chunks))


async def take_part(part: FilePart, stage: Stage, *, max_image_bytes: int) -> NewImage:
    return await (await receive_part(part, stage, max_image_bytes=max_image_bytes))


async def test_a_part_becomes_a_staged_image(blobs: BlobStore, stage: Stage) -> None:
    image = await take_part(part(b"ab", b"", b"c"), stage, max_image_bytes=3)

    assert (image.kind, image.name, image.size_bytes) == (SourceKind.UPLOAD, "d/a.jpg", 3)
    assert image.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert image.failure is None
    assert blobs.input_path(stage.job_id, image.id).read_bytes() == b"abc"


async def test_an_empty_part_is_an_image_that_failed(blobs: BlobStore, stage: Stage) -> None:
    image = await take_part(part(), stage, max_image_bytes=3)

    assert image.failure is not None
    assert image.failure.code is ImageErrorCode.EMPTY_IMAGE
    assert (image.size_bytes, image.sha256) == (0, None)
    assert inputs(blobs, stage) == []


@pytest.mark.parametrize("max_image_bytes", [10, 3_000_000])
async def test_a_part_that_is_too_large_is_read_to_its_end_and_fails(
    blobs: BlobStore, stage: Stage, max_image_bytes: int
) -> None:
    big = part(*[b"x" * 100_000] * 40)
    image = await take_part(big, stage, max_image_bytes=max_image_bytes)

    assert image.failure is not None
    assert image.failure.code is ImageErrorCode.TOO_MANY_BYTES
    assert image.size_bytes == 4_000_000
    assert [chunk async for chunk in big.chunks] == []
    assert inputs(blobs, stage) == []


async def test_one_part_reaches_the_disk_while_the_next_is_read(
    blobs: BlobStore, stage: Stage
) -> None:
    first = await receive_part(part(b"first"), stage, max_image_bytes=9)
    second = await receive_part(part(b"second"), stage, max_image_bytes=9)
    images = await asyncio.gather(first, second)
    assert [image.size_bytes for image in images] == [5, 6]
    assert len(inputs(blobs, stage)) == 2


async def test_an_upload_that_breaks_off_leaves_nothing_after_discard(
    blobs: BlobStore, stage: Stage
) -> None:
    head = b'--B\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
    body = [head, b"x" * 100, b"\r\n", head, *[b"y" * 500_000] * 5]

    async def upload() -> None:
        broken = stream(body, ConnectionResetError())
        async for item in read_multipart("multipart/form-data; boundary=B", broken, documents()):
            assert isinstance(item, FilePart)
            await take_part(item, stage, max_image_bytes=1 << 30)

    with pytest.raises(ConnectionResetError):
        await upload()
    assert inputs(blobs, stage) != []
    await stage.discard()

    assert await blobs.job_folders() == []


async def test_a_body_is_one_image(blobs: BlobStore, stage: Stage) -> None:
    image = await receive_body(stream([b"ab", b"c"]), stage, name="d\\a\n.jpg", max_image_bytes=3)

    assert (image.kind, image.name, image.size_bytes) == (SourceKind.UPLOAD, "d/a.jpg", 3)
    assert blobs.input_path(stage.job_id, image.id).read_bytes() == b"abc"


async def test_an_empty_body_is_an_image_that_failed(blobs: BlobStore, stage: Stage) -> None:
    image = await receive_body(stream([]), stage, name=None, max_image_bytes=3)

    assert image.failure is not None
    assert image.failure.code is ImageErrorCode.EMPTY_IMAGE
    assert inputs(blobs, stage) == []


async def test_a_body_that_is_too_large_is_refused_whole(blobs: BlobStore, stage: Stage) -> None:
    with pytest.raises(PayloadTooLarge):
        await receive_body(
            stream([b"x" * 1_500_000] * 3), stage, name=None, max_image_bytes=4_000_000
        )

    assert inputs(blobs, stage) == []
