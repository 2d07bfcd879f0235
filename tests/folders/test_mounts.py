from __future__ import annotations

from pathlib import Path

import pytest

from imgsvc.folders.mounts import find_kind, is_remote

TABLE = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 22 0:50 / /mnt/share rw shared:5 - nfs4 server:/export rw,vers=4.2
41 22 0:51 / /mnt/my\040photos rw - cifs //nas/photos rw
42 22 0:52 / /mnt/share/local rw - tmpfs tmpfs rw
43 22 0:53 / /mnt/ssh rw - fuse.sshfs me@host: rw
44 22 0:54 / /mnt/stick rw - fuseblk /dev/sdb1 rw
45 22 0:55 / /mnt/over rw - nfs server:/a rw
46 22 0:56 / /mnt/over rw - ext4 /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "remote"),
    [
        ("/srv/photos", "ext4", False),
        ("/mnt/share", "nfs4", True),
        ("/mnt/share/a/b", "nfs4", True),
        ("/mnt/shared", "ext4", False),
        ("/mnt/my photos/2024", "cifs", True),
        ("/mnt/share/local/x", "tmpfs", False),
        ("/mnt/ssh/in", "fuse.sshfs", True),
        ("/mnt/stick", "fuseblk", False),
        ("/mnt/over", "ext4", False),
    ],
)
def test_the_innermost_and_newest_mount_decides(path: str, kind: str, remote: bool) -> None:
    assert find_kind(Path(path), TABLE) == kind
    assert is_remote(Path(path), TABLE) is remote


def test_where_nothing_is_known_a_folder_counts_as_local() -> None:
    assert find_kind(Path("/x"), "") is None
    assert not is_remote(Path("/x"), "")


def test_this_machine_says_what_its_folders_stand_on(tmp_path: Path) -> None:
    assert find_kind(tmp_path)
