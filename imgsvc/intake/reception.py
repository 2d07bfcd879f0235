"""Receiving the bytes of one image into a stage, whatever they came in."""

from __future__ import annotations

from collections.abc import AsyncIterable, Coroutine

from imgsvc.blobs.stage import Stage, StagedFile
from imgsvc.domain.image import NewImage, SourceKind
from imgsvc.domain.input_names import clean_name
from imgsvc.domain.rendering import Failure
from imgsvc.errors import ImageErrorCode, PayloadTooLarge
from imgsvc.intake.headers import read_header
from imgsvc.intake.multipart import FilePart

EMPTY = Failure(ImageErrorCode.EMPTY_IMAGE, "The image has no bytes.")


def too_many_bytes(max_image_bytes: int) -> Failure:
    message = f"The image is larger than {max_image_bytes} bytes."
    return Failure(ImageErrorCode.TOO_MANY_BYTES, message)


async def receive_part(
    part: FilePart, stage: Stage, *, max_image_bytes: int
) -> Coroutine[None, None, NewImage]:
    """Read a file part to its end. What is returned, and must be awaited, is its last way to
    the disk: others can be read meanwhile.

    An empty or too large image is one that has failed, with no file left; `size_bytes`
    is then what was sent.
    """
    file = stage.new_file()
    size_bytes = 0
    async for chunk in part.chunks:
        size_bytes += len(chunk)
        if size_bytes <= max_image_bytes:
            await file.write(chunk)
    failure = too_many_bytes(max_image_bytes) if size_bytes > max_image_bytes else None
    return conclude(file, SourceKind.UPLOAD, part.filename, size_bytes, failure)


async def receive_body(
    chunks: AsyncIterable[bytes], stage: Stage, *, name: str | None, max_image_bytes: int
) -> NewImage:
    """Read a body that is one image. Raises PayloadTooLarge, since it is refused whole.

    name: as the client gave it, None if it did not.
    """
    file = stage.new_file()
    async for chunk in chunks:
        if file.size_bytes + len(chunk) > max_image_bytes:
            await file.abort()
            raise PayloadTooLarge(f"The image is larger than {max_image_bytes} bytes.")
        await file.write(chunk)
    return await conclude(file, SourceKind.UPLOAD, clean_name(name), file.size_bytes, None)


async def conclude(
    file: StagedFile,
    kind: SourceKind,
    name: str | None,
    size_bytes: int | None,
    failure: Failure | None,
) -> NewImage:
    """Finish the file, or abort it when it is empty or has failed already."""
    if failure is None and file.size_bytes == 0:
        failure = EMPTY
    if failure is not None:
        await file.abort()
        return NewImage(file.image_id, name, kind, size_bytes, failure=failure)
    size_bytes, sha256 = await file.finish()
    return NewImage(file.image_id, name, kind, size_bytes, sha256, picture=read_header(file.head))
