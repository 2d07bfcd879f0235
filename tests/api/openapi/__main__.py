"""`python -m tests.api.openapi --examples 20`: invents requests after the description, for every
operation, and holds a real server's answers against it. Ends with 1 when any is otherwise.

What is right by its schema may be refused all the same, such as a cursor that no list has given,
and an empty parameter counts as not given: these two checks are left out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.server_process import ServerProcess

LEFT_OUT = "positive_data_acceptance,negative_data_rejection"
ONE_WORKER = {"IMGSVC_WORKERS__MIN": "1", "IMGSVC_WORKERS__MAX": "1"}
"""Any number up to a thousand is a valid one to ask for, and each is a process."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=20, help="requests for each operation")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder, "data"), workers=1, settings=ONE_WORKER)
        try:
            return ask(server.url, options.examples, folder)
        finally:
            server.stop()


def ask(url: str, examples: int, folder: str) -> int:
    """The tool's exit code. folder: where it may leave what it keeps."""
    tool = Path(sys.executable).with_name("schemathesis")
    command = [
        str(tool), "run", f"{url}/openapi.json", "--checks=all",
        f"--exclude-checks={LEFT_OUT}", f"--max-examples={examples}",
        "--phases=examples,coverage,fuzzing", "--generation-deterministic",
        "--continue-on-failure", "--request-timeout=20", "--warnings=off",
    ]  # fmt: skip
    return subprocess.run(command, check=False, cwd=folder).returncode


if __name__ == "__main__":
    sys.exit(main())
