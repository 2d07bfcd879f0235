"""Which troubles with a disk pass, and which are those of one file alone."""

from __future__ import annotations

import errno

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})

PASSING = FULL | TOO_MANY_FILES | {
    errno.EROFS, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN,
    errno.EHOSTDOWN, errno.ETIMEDOUT, errno.ENOMEM,
}  # fmt: skip
"""All that is on a disk, or on a share, suffers from these, until somebody puts them right."""


def is_disk_full(error: OSError) -> bool:
    return error.errno in FULL


def will_pass(error: OSError) -> bool:
    """Whether waiting helps: what is wrong is wrong with the disk, and not with this one file."""
    return error.errno in PASSING


def may_be_its_own(error: OSError) -> bool:
    """Whether it may be wrong with this one file for ever, and nobody should wait, nor stop, for
    it: so may EIO be, of a bad place on the disk.
    """
    return not will_pass(error) or error.errno == errno.EIO
