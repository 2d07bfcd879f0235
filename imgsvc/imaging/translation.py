"""What libvips says, told in our codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyvips

from imgsvc.errors import ImageError, ImageErrorCode

_OUT_OF_MEMORY = ("out of memory", "unable to allocate", "failed to allocate", "memory allocation")
_UNSUPPORTED = ("unsupported", "not supported", "not implemented", "no known route")


@contextmanager
def reading() -> Iterator[None]:
    """Around everything that reads the input: libvips' errors are the image's fault.

    Raises ImageError with corrupt_image, unsupported_format or out_of_memory.
    """
    try:
        yield
    except pyvips.Error as exc:
        raise _blame_input(str(exc)) from exc


@contextmanager
def making() -> Iterator[None]:
    """Around what works on pixels already in memory.

    Raises ImageError with out_of_memory; any other pyvips.Error is our own mistake and
    passes as it is.
    """
    try:
        yield
    except pyvips.Error as exc:
        if _says(str(exc), _OUT_OF_MEMORY):
            raise out_of_memory() from exc
        raise


def out_of_memory() -> ImageError:
    return ImageError(ImageErrorCode.OUT_OF_MEMORY, "The image needs more memory than there is.")


def corrupt_image() -> ImageError:
    return ImageError(ImageErrorCode.CORRUPT_IMAGE, "The image is damaged or incomplete.")


def _blame_input(said: str) -> ImageError:
    if _says(said, _OUT_OF_MEMORY):
        return out_of_memory()
    if _says(said, _UNSUPPORTED):
        return ImageError(
            ImageErrorCode.UNSUPPORTED_FORMAT, "The image uses a feature that is not supported."
        )
    return corrupt_image()


def _says(said: str, phrases: tuple[str, ...]) -> bool:
    lowered = said.lower()
    return any(phrase in lowered for phrase in phrases)
