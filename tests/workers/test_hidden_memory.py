"""Where there is no Landlock, the server keeps workers from its memory by itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

_TRY = """
import ctypes, os, sys
from imgsvc.workers import landlock, sandbox

landlock.get_version = lambda: int(sys.argv[1])
if os.geteuid() == 0:  # root may look at everything
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as a server that was started by that user
sandbox.protect_server()
if os.fork():
    os.wait()
else:
    for name in ("environ", "maps"):
        try:
            open(f"/proc/{os.getppid()}/{name}", "rb").close()
            print("open")
        except PermissionError:
            print("refused")
    sys.stdout.flush()
    os._exit(0)
"""


@pytest.mark.parametrize(("version", "said"), [(0, ["refused"] * 2), (1, ["open"] * 2)])
def test_without_landlock_a_worker_cannot_read_its_servers_memory_and_variables(
    version: int, said: list[str]
) -> None:
    """With it the worker is refused all of /proc, and whoever looks into the server may do so."""
    command = [sys.executable, "-c", _TRY, str(version)]
    tried = subprocess.run(command, capture_output=True, text=True, check=True)
    assert tried.stdout.split() == said
