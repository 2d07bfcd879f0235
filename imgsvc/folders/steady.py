"""Reading a file that must not change meanwhile: half of each of two contents is none."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from typing import Any, BinaryIO

from imgsvc.folders.scan import FileChanged, Folder, Sighting


def open_steady(folder: Folder, sighting: Sighting) -> io.BufferedReader:
    """A file as it was seen. Raises FileChanged and OSError, also while it is read. Blocking."""
    return io.BufferedReader(_SteadyFile(folder.open(sighting), folder, sighting))


def hash_file(folder: Folder, sighting: Sighting) -> str:
    """SHA-256, hexadecimal. Raises FileChanged, OSError. Blocking."""
    with open_steady(folder, sighting) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _SteadyFile(io.RawIOBase):
    def __init__(self, file: BinaryIO, folder: Folder, sighting: Sighting) -> None:
        self._file = file
        self._folder = folder
        self._sighting = sighting
        self._read_bytes = 0

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._read_bytes += len(data)
        if len(data) < len(buffer) or self._read_bytes > self._sighting.size_bytes:
            self._check()
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _check(self) -> None:
        facts = os.fstat(self._file.fileno())
        if self._folder.fingerprint_of(facts) != self._sighting.fingerprint:
            raise FileChanged
        if self._read_bytes != facts.st_size:
            raise OSError(errno.EIO, "It cannot be read to its end")
