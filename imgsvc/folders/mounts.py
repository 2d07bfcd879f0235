"""On what kind of file system a folder stands: only local ones tell of every change."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")

_REMOTE = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre",
        "ncpfs", "nfs", "nfs4", "ocfs2", "gfs2", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs",
        "vmhgfs",
    }
)  # fmt: skip
_ESCAPE = re.compile(r"\\([0-7]{3})")


def is_remote(path: Path, mountinfo: str | None = None) -> bool:
    """Whether changes in a folder may be made elsewhere, unseen by this machine's kernel.

    mountinfo: as in /proc/self/mountinfo (proc(5)); None reads it. Blocking. Where nothing is
    known of it the folder counts as local.
    """
    kind = find_kind(path, mountinfo)
    return kind is not None and (kind in _REMOTE or kind.startswith("fuse."))


def find_kind(path: Path, mountinfo: str | None = None) -> str | None:
    """The type of the file system that is mounted there; None when that cannot be told."""
    if mountinfo is None:
        try:
            mountinfo = MOUNTINFO.read_text(errors="surrogateescape")
        except OSError:
            return None
    real = os.path.realpath(path)
    best, kind = "", None
    for line in mountinfo.splitlines():
        left, separator, right = line.partition(" - ")
        if not separator:
            continue
        point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), left.split(" ")[4])
        # of several mounts on one point the last one is on top
        if len(point) >= len(best) and _is_below(real, point):
            best, kind = point, right.split(" ", 1)[0]
    return kind


def _is_below(path: str, point: str) -> bool:
    return point == "/" or path == point or path.startswith(f"{point}/")
