"""Files as the readers see them."""

from __future__ import annotations

import io
from pathlib import Path


class BoundedFile(io.BufferedReader):
    """A file of which nobody can read more than there is.

    Headers lie about lengths, and an ordinary file makes room for what is asked for before
    it looks at what is there.
    """

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path))
        self.size_bytes = Path(path).stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self.size_bytes - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on; fewer at the end."""
        self.seek(offset)
        return self.read(size)
