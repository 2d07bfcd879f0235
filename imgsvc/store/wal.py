"""The write-ahead log as a file: whether commits stand in it that SQLite would pass over.

SQLite reads a log as far as its checksums are right and forgets the rest without a word, because
after a power cut the last commit may have reached the disk in parts. One commit, that is: each is
on stable storage before the next begins. Formats: https://www.sqlite.org/walformat.html
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24

_MAGIC = frozenset({0x377F0682, 0x377F0683})
_HEADER = struct.Struct(">6I")
_CHECKSUM = struct.Struct(">2I")
_FRAME = struct.Struct(">2I8s")
_READ_FRAMES_AT = 16
"""Where an index (-shm) says how many frames are valid, in the machine's byte order."""

_SALT = slice(16, 24)
"""Of a header: another one each time that the log is begun anew."""

_FRAME_SALT = slice(8, 16)


def beside(database: Path, end: str) -> Path:
    """The file whose name ends so, as "-wal", where SQLite has it: a link to a database is
    followed. Blocking.
    """
    return Path(os.path.realpath(database) + end)


LIMIT_BYTES = 64 << 20
"""A log that one large commit has blown up is cut back to this: by the first commit that writes
it from its beginning again, when that is on stable storage.
"""


class OpenLog:
    """Whether somebody cuts off or overwrites a log in use: SQLite goes on behind it, reads what
    it believes to be there, and saves that into the database. Blocking. file: its descriptor.

    Only what was committed since it was begun is looked at: what else stands in the file, an older
    log, a transaction that was rolled back, zeros behind a power cut, may be cut off by anybody
    who writes, as his `journal_size_limit` says.

    Not all is seen: of a last frame that was cut in two the beginning still stands, and a write
    behind it gives it its length back; nor is what is overwritten between the beginning and the
    last commit.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._salt = b""
        self._first = b""
        self._frame_bytes = 0
        self._last_at: int | None = None

    def is_spoiled(self) -> bool:
        """As far as its beginning and its last commit tell. Raises OSError."""
        head = self._read_head()
        if not head:  # from a checkpoint to the next commit
            return False
        if int.from_bytes(head[:4], "big") not in _MAGIC:
            return True
        if self._is_new(head):
            self._salt, self._first, self._last_at = head[_SALT], head[HEADER_BYTES:], None
            self._frame_bytes = FRAME_HEADER_BYTES + int.from_bytes(head[8:12], "big")
        elif self._last_at is not None and self._commits_at(self._last_at) is None:
            return not self._is_new(self._read_head())  # it may be since it was looked at
        self._find_last()
        return False

    def _read_head(self) -> bytes:
        """Of the log, and of its first frame."""
        return os.pread(self._file, HEADER_BYTES + FRAME_HEADER_BYTES, 0)

    def _is_new(self, head: bytes) -> bool:
        """Whether it was begun since the last look. Where a program is killed before the first
        commit of a log counts, the next one may begin it with the same salt.
        """
        first = head[HEADER_BYTES:]
        is_frame = first[_FRAME_SALT] == self._salt
        return head[_SALT] != self._salt or (is_frame and first != self._first)

    def _find_last(self) -> None:
        """The last commit of this log, from the one that is known on."""
        at = HEADER_BYTES if self._last_at is None else self._last_at + self._frame_bytes
        while (commits := self._commits_at(at)) is not None:
            if commits:
                self._last_at = at
            at += self._frame_bytes

    def _commits_at(self, at: int) -> bool | None:
        """Whether the frame there ends a commit; None where no whole one of this log stands, as
        behind a full disk.
        """
        frame = os.pread(self._file, self._frame_bytes, at)
        if len(frame) < self._frame_bytes:
            return None
        _, size_after, salt = _FRAME.unpack_from(frame)
        return size_after > 0 if salt == self._salt else None


def has_broken_header(path: Path) -> bool:
    """Whether a log is there whose beginning is damaged, so that all of it is passed over.
    Blocking.

    One that is empty, or all zeros at its beginning, as a power cut may leave a new one, holds
    nothing.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except FileNotFoundError:
        return False
    if not head.strip(b"\0"):
        return _holds_something(path)
    if len(head) < HEADER_BYTES:
        return False
    magic = _HEADER.unpack_from(head)[0]
    return magic not in _MAGIC or _checksum(head[:24], magic) != _CHECKSUM.unpack_from(head, 24)


def count_lost_commits(path: Path, index: Path, later: ExitStack) -> int:
    """Commits that were written after the last one that SQLite takes. Blocking.

    index: the log's, as somebody has it open who has read the log. later: ends when he has closed
    it, as no file of the index may be closed before that (see `examination.examine`).
    """
    if not path.exists() or path.stat().st_size <= HEADER_BYTES:
        return 0
    head = later.enter_context(index.open("rb")).read(_READ_FRAMES_AT + 4)
    (valid,) = struct.unpack("=I", head[_READ_FRAMES_AT:])
    with path.open("rb") as file:
        return sum(_commits_after(file, valid))


def _commits_after(file: BinaryIO, valid: int) -> Iterator[bool]:
    """For every frame of the present log beyond the valid ones, whether it ends a commit."""
    head = file.read(HEADER_BYTES)
    page_bytes, salt = _HEADER.unpack_from(head)[2], head[16:24]
    frame_bytes = FRAME_HEADER_BYTES + page_bytes
    file.seek(HEADER_BYTES + valid * frame_bytes)
    while len(frame := file.read(frame_bytes)) == frame_bytes:
        _, size_after, frame_salt = _FRAME.unpack_from(frame)
        yield frame_salt == salt and size_after > 0


def _holds_something(path: Path) -> bool:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            if block.strip(b"\0"):
                return True
    return False


def _checksum(data: bytes, magic: int) -> tuple[int, int]:
    """Over whole pairs of words, in the byte order that the magic number names."""
    order = ">" if magic & 1 else "<"
    first = second = 0
    for one, two in struct.iter_unpack(f"{order}2I", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second
