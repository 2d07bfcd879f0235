"""Images that are likely to be needed again, kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import pyvips


class KeptImages:
    """The latest used ones, up to `max_bytes` of pixels; one that is larger is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._images: OrderedDict[Hashable, pyvips.Image] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], pyvips.Image]) -> pyvips.Image:
        """The image under `key`, in memory; made if it is not there. What `make` raises passes."""
        if key in self._images:
            self._images.move_to_end(key)
            return self._images[key]
        image = make().copy_memory()
        if _size_bytes(image) <= self._max_bytes:
            self._images[key] = image
            self._bytes += _size_bytes(image)
            self._make_room()
        return image

    def _make_room(self) -> None:
        while self._bytes > self._max_bytes:
            _, dropped = self._images.popitem(last=False)
            self._bytes -= _size_bytes(dropped)


def _size_bytes(image: pyvips.Image) -> int:
    """Of 8-bit pixels."""
    return int(image.width * image.height * image.bands)
