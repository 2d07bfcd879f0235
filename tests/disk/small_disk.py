"""A disk small enough to be filled: a tmpfs in a mount namespace of its own.

A process holds the namespace; servers enter it, and tests reach in through /proc.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

FILLER = "filler"

_HOLD = 'mount -t tmpfs -o "$1" tmpfs "$2" && echo ready && exec cat'


class SmallDisk:
    """path: where it stands for those inside. outside: where it stands for everybody else."""

    def __init__(self, path: Path, options: str) -> None:
        path.mkdir()
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", _HOLD, "sh", options]
        self._holder = subprocess.Popen(
            [*command, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self.close()
            pytest.skip("mount namespaces are not allowed here")
        self.path = path
        self.outside = Path(f"/proc/{self._holder.pid}/root{path}")
        self.enter = (
            *("nsenter", "--preserve-credentials", "--user", "--mount"),
            f"--target={self._holder.pid}",
        )

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all the space but `leave_bytes`."""
        with (self.outside / FILLER).open("ab") as file:
            while (taken := self.free_bytes() - leave_bytes) > 0:
                with suppress(OSError):  # others write too
                    os.posix_fallocate(file.fileno(), file.tell(), taken)
                    file.seek(0, os.SEEK_END)

    def fill_inodes(self) -> None:
        """Take every place for a file."""
        folder = self.outside / f"{FILLER}s"
        folder.mkdir()
        for number in range(os.statvfs(self.outside).f_favail):
            (folder / str(number)).touch()

    def clear(self) -> None:
        """Give back what was taken."""
        (self.outside / FILLER).unlink(missing_ok=True)
        shutil.rmtree(self.outside / f"{FILLER}s", ignore_errors=True)

    def mount_read_only(self) -> None:
        """While nobody has a file open to write."""
        command = [*self.enter, "mount", "-o", "remount,ro", str(self.path)]
        subprocess.run(command, check=True)

    def free_bytes(self) -> int:
        facts = os.statvfs(self.outside)
        return facts.f_bavail * facts.f_frsize

    def close(self) -> None:
        with self._holder:
            pass  # closes its input, at which it ends

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def small_disk(path: Path, *, size: str = "16m", inodes: int = 0) -> Iterator[SmallDisk]:
    """inodes: 0 for as many as anybody wants."""
    with SmallDisk(path, f"size={size},nr_inodes={inodes}") as disk:
        yield disk
