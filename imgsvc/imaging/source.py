"""The input as a supply of decodes: each reads the file from its beginning, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyvips

from imgsvc.imaging.loaders import open_file
from imgsvc.imaging.probe import Header
from imgsvc.imaging.readers.registry import FOREIGN_FORMATS, read_pixels
from imgsvc.imaging.steps.colour import drop_extra_bands


class Source:
    """What the probe opened serves the first plain decode, and stays, with all that its decoder
    holds, as long as the header does.
    """

    def __init__(self, path: str, header: Header) -> None:
        self.header = header
        self.path = path
        self._opened: pyvips.Image | None = header.image

    def afresh(self) -> Source:
        """One of which nothing stays when its images are let go of."""
        other = Source(self.path, self.header)
        other._opened = None
        return other

    def open(self, **options: Any) -> pyvips.Image:
        """The first frame, without bands that nobody can show. options: the loader's own, such
        as shrink. Raises pyvips.Error.
        """
        return drop_extra_bands(self._open(options))

    def _open(self, options: dict[str, Any]) -> pyvips.Image:
        if self.header.format in FOREIGN_FORMATS:
            return read_pixels(self.path, self.header.format, self.header.image)
        if options or self._opened is None:
            return open_file(self.path, self.header.format, **options)
        image, self._opened = self._opened, None
        return image

    def frames(self, count: int) -> Iterator[pyvips.Image]:
        """The first `count` frames, each to be read whole before the next is asked for."""
        if count == 1:
            yield self.open()
            return
        strip = self.open(n=count)
        width, height = self.header.stored
        for number in range(count):
            frame = strip.crop(0, number * height, width, height).copy()
            frame.remove("page-height")  # it is a picture of its own now
            yield frame
