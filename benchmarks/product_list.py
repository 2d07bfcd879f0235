"""How long a real server takes to accept a product list, and how much memory it holds for it.

The URLs lead nowhere, and are tried meanwhile; what is measured ends with the answer, and the job
is deleted then.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
import urllib.request
from io import StringIO
from pathlib import Path

from benchmarks.server import ServerProcess

DESCRIPTION = "Leather upper, rubber sole; “made to last”, in sizes 36 to 47. " * 4


def make_list(rows: int) -> bytes:
    """One URL in every row, and source columns of some 300 characters."""
    buffer = StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(["S. No.", "Product Name", "Input Image Urls", "SKU", "Description"])
    for number in range(1, rows + 1):
        url = f"https://shop.invalid/catalogue/{number}/front.jpg"
        writer.writerow([number, f"Shoe № {number}", url, f"SKU-{number:06}", DESCRIPTION])
    return buffer.getvalue().encode()


def _send(server: ServerProcess, body: bytes) -> float:
    """Seconds from the first byte to the answer."""
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{server.url}/api/v1/jobs", body, {"Content-Type": "text/csv"}
    )
    begin = time.perf_counter()
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        job = json.load(answer)
    elapsed_s = time.perf_counter() - begin
    path = f"{server.url}{job['links']['self']}"
    with urllib.request.urlopen(urllib.request.Request(path, method="DELETE")):  # noqa: S310
        return elapsed_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    body = make_list(arguments.rows)
    print(f"{arguments.rows} rows, {len(body) / 1e6:.1f} MB")
    with (
        tempfile.TemporaryDirectory(prefix="imgsvc-bench-") as folder,
        ServerProcess(Path(folder) / "data", workers=1) as server,
    ):
        print(f"before: {server.peak_bytes() / 2**20:.0f} MiB at most")
        for number in range(1, arguments.rounds + 1):
            elapsed_s = _send(server, body)
            peak = server.peak_bytes() / 2**20
            print(f"round {number}: accepted in {elapsed_s:.2f} s, {peak:.0f} MiB at most")


if __name__ == "__main__":
    main()
