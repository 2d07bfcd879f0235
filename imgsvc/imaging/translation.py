"""What libvips, Pillow and its plug-ins say, told in our codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from struct import error as StructError  # noqa: N812 - its own name says nothing
from zlib import error as ZlibError  # noqa: N812

import pyvips

from imgsvc.errors import ImageError, ImageErrorCode

_OUT_OF_MEMORY = ("out of memory", "unable to allocate", "failed to allocate", "memory allocation")
_TOO_LARGE = ("maximum image size",)
_NONSENSE = ("security limit", "out of memory reading of", "(0 elements of")
"""libheif and libtiff call sizes that no file has a matter of memory, and libtiff also nothing."""
_BEYOND_LIBTIFF = ("defined in open options",)
"""More than libvips lets libtiff have, such as for a strip of 80 MB: no matter of our memory."""

_UNSUPPORTED = (
    "unsupported",
    "not supported",
    "not implemented",
    "not configured",
    "not a whole number of bytes",
    "bad labq format",
    "no known route",
    "unknown",
)

_READERS_FAULTS = (
    ArithmeticError,
    AssertionError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    StructError,
    SyntaxError,
    TypeError,
    ValueError,
    ZlibError,
)
"""Parsers in plain Python stumble over a damaged file in every way that Python knows."""


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
def reading_elsewhere() -> Iterator[None]:
    """Around everything that reads the input by other means than libvips.

    Raises ImageError with corrupt_image, unsupported_format or out_of_memory.
    """
    try:
        with reading():
            yield
    except MemoryError as exc:
        raise out_of_memory() from exc
    except (ImportError, NotImplementedError) as exc:
        raise _unsupported_feature() from exc
    except _READERS_FAULTS as exc:
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
    if _says(said, _TOO_LARGE):
        return ImageError(
            ImageErrorCode.TOO_MANY_PIXELS, "The image has more pixels than its decoder allows."
        )
    if _says(said, _NONSENSE):
        return corrupt_image()
    if _says(said, _BEYOND_LIBTIFF):
        return _unsupported_feature()
    if _says(said, _OUT_OF_MEMORY):
        return out_of_memory()
    if _says(said, _UNSUPPORTED):
        return _unsupported_feature()
    return corrupt_image()


def _unsupported_feature() -> ImageError:
    return ImageError(
        ImageErrorCode.UNSUPPORTED_FORMAT, "The image uses a feature that is not supported."
    )


def _says(said: str, phrases: tuple[str, ...]) -> bool:
    lowered = said.lower()
    return any(phrase in lowered for phrase in phrases)
