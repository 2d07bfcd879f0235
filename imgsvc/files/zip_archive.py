"""A ZIP of files as they are, made while it is read.

A ZIP ends with all its names and sizes once more, so something must be kept of every entry. It
is kept packed, 10 to 26 bytes for each, and where an entry began is counted again at the end.

Source: APPNOTE.TXT 6.3.10 of PKWARE.
"""

from __future__ import annotations

import json
import os
import stat
import time
import zlib
from array import array
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from struct import pack
from typing import NamedTuple

READ_BYTES = 256 << 10

_PACKED_TOGETHER = 1000
_LIMIT = (1 << 31) - 1
"""Larger numbers are written the new way (ZIP64): some readers take the old ones as signed."""
_MOST_ENTRIES = (1 << 16) - 1
_ELSEWHERE = 0xFFFFFFFF

_PLAIN, _ZIP64 = 20, 45
"""The version of the format that an entry needs."""
_UNIX = 3
_DESCRIPTOR_FOLLOWS = 1 << 3
_NAME_IS_UTF8 = 1 << 11
_IS_FOLDER = 0x10


class _Entry(NamedTuple):
    """name: ends in `/` for a folder. mode: as in `stat`. modified: as MS-DOS writes times."""

    name: str
    path: str
    size_bytes: int
    mode: int
    modified: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")

    @property
    def version(self) -> int:
        return _ZIP64 if self.size_bytes > _LIMIT else _PLAIN

    @property
    def flags(self) -> int:
        return (0 if self.is_folder else _DESCRIPTOR_FOLLOWS) | (
            0 if self.name.isascii() else _NAME_IS_UTF8
        )


class ZipArchive:
    """All methods block. size_bytes: of the whole archive, known before it is read."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._count = 0
        self._content_bytes = 0
        self._directory_bytes = 0

    @property
    def size_bytes(self) -> int:
        end = _end(self._count, self._directory_bytes, self._content_bytes)
        return self._content_bytes + self._directory_bytes + len(end)

    def add(self, files: Iterable[tuple[Path, str]]) -> None:
        """Files, or folders without what is in them, and their names in the archive; they are
        opened only as their turn comes. Raises FileNotFoundError.
        """
        rest = iter(files)
        while block := [self._measure(*file) for file in islice(rest, _PACKED_TOGETHER)]:
            self._blocks.append(zlib.compress(json.dumps(block).encode()))

    def add_all_of(self, folder: Path) -> None:
        """What is in a folder; folders in it come before what is in them, with their modes."""
        self.add(
            (Path(place, name), os.path.relpath(Path(place, name), folder))
            for place, folders, files in os.walk(folder)
            for name in (*folders, *files)
        )

    def __iter__(self) -> Iterator[bytes]:
        """The archive. Raises OSError for a file that is gone or has another size."""
        sums = array("I")
        for entry in self._entries():
            yield _local_header(entry)
            if entry.is_folder:
                sums.append(0)
            else:
                sums.append((yield from _read(entry)))
                yield _descriptor(entry, sums[-1])
        began = 0
        for entry, checksum in zip(self._entries(), sums, strict=True):
            yield _directory_header(entry, began, checksum)
            began += _length(entry)
        yield _end(self._count, self._directory_bytes, self._content_bytes)

    def _measure(self, path: Path, name: str) -> _Entry:
        facts = path.stat()
        is_folder = stat.S_ISDIR(facts.st_mode)
        entry = _Entry(
            f"{name}/" if is_folder else name,
            str(path),
            0 if is_folder else facts.st_size,
            facts.st_mode,
            _dos_time(facts.st_mtime),
        )
        self._directory_bytes += len(_directory_header(entry, self._content_bytes, 0))
        self._content_bytes += _length(entry)
        self._count += 1
        return entry

    def _entries(self) -> Iterator[_Entry]:
        for block in self._blocks:
            yield from (_Entry(*values) for values in json.loads(zlib.decompress(block)))


def _read(entry: _Entry) -> Generator[bytes, None, int]:
    """What is in the file; returns its CRC-32."""
    checksum = size_bytes = 0
    with Path(entry.path).open("rb", buffering=0) as file:
        while chunk := file.read(READ_BYTES):
            checksum = zlib.crc32(chunk, checksum)
            size_bytes += len(chunk)
            yield chunk
    if size_bytes != entry.size_bytes:
        raise OSError(f"{entry.path} has {size_bytes} bytes, and had {entry.size_bytes}.")
    return checksum


def _length(entry: _Entry) -> int:
    """From where the entry begins to where the next one does."""
    around = len(_local_header(entry)) + (0 if entry.is_folder else len(_descriptor(entry, 0)))
    return around + entry.size_bytes


def _local_header(entry: _Entry) -> bytes:
    """Sizes and sum are not told here, but after the content."""
    name = entry.name.encode()
    size_bytes, extra = 0, b""
    if entry.version == _ZIP64:
        size_bytes, extra = _ELSEWHERE, pack("<HHQQ", 1, 16, 0, 0)
    fields = (entry.version, entry.flags, 0, entry.modified, 0, size_bytes, size_bytes)
    return pack("<4s3H4L2H", b"PK\3\4", *fields, len(name), len(extra)) + name + extra


def _descriptor(entry: _Entry, checksum: int) -> bytes:
    layout = "<4sL2Q" if entry.version == _ZIP64 else "<4s3L"
    return pack(layout, b"PK\7\10", checksum, entry.size_bytes, entry.size_bytes)


def _directory_header(entry: _Entry, began: int, checksum: int) -> bytes:
    """began: where in the archive."""
    name = entry.name.encode()
    size_bytes, numbers = entry.size_bytes, []
    if size_bytes > _LIMIT:
        numbers += [size_bytes, size_bytes]
        size_bytes = _ELSEWHERE
    if began > _LIMIT:
        numbers.append(began)
        began = _ELSEWHERE
    extra = pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""
    version = _ZIP64 if numbers else _PLAIN
    made_by = _UNIX << 8 | version
    attributes = entry.mode << 16 | (_IS_FOLDER if entry.is_folder else 0)
    facts = (made_by, version, entry.flags, 0, entry.modified, checksum, size_bytes, size_bytes)
    lengths = (len(name), len(extra), 0)
    return pack("<4s4H4L5H2L", b"PK\1\2", *facts, *lengths, 0, 0, attributes, began) + name + extra


def _end(count: int, directory_bytes: int, began: int) -> bytes:
    """began: where the directory does."""
    large = b""
    if count >= _MOST_ENTRIES or max(directory_bytes, began) > _LIMIT:
        numbers = (44, _ZIP64, _ZIP64, 0, 0, count, count, directory_bytes, began)
        large = pack("<4sQ2H2L4Q", b"PK\6\6", *numbers)
        large += pack("<4sLQL", b"PK\6\7", 0, began + directory_bytes, 1)
        count = min(count, _MOST_ENTRIES)
        directory_bytes = min(directory_bytes, _ELSEWHERE)
        began = min(began, _ELSEWHERE)
    return large + pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, directory_bytes, began, 0)


def _dos_time(modified_s: float) -> int:
    """In local time, by two seconds, from 1980 to 2107."""
    year, month, day, hour, minute, second = time.localtime(modified_s)[:6]
    if year < 1980:
        return 1 << 21 | 1 << 16
    date = min(year - 1980, 127) << 9 | month << 5 | day
    return date << 16 | hour << 11 | minute << 5 | second // 2
