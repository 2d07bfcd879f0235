"""Being somebody to whom something is forbidden."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user that is not root, to whom nothing is forbidden."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def confined() -> list[str]:
    """A command that runs the one which follows it as who may not read what is closed to all."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv here, and nothing is forbidden to root")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def let_others_in(folder: Path) -> None:
    """Let everybody reach a folder of a test, as far as it is root's to allow."""
    for path in (folder, *folder.parents):
        if path.owner() != "root" or path == Path("/tmp"):  # noqa: S108
            break
        path.chmod(0o755)
