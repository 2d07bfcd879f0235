"""The demonstration: a real server, two dozen photos, and what became of them.

Everything goes through the command line as a user would type it; only the table at the end
asks the server itself.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from benchmarks.photos import make_photos
from benchmarks.server import ServerProcess
from imgsvc.client import Client, Image

PHOTOS = Path("build/photos")
RESULTS = Path("demo-out")
COUNT = 24
PLAIN_WIDTH = 110
"""Columns of the table where there is no terminal to ask."""


def say(text: str) -> None:
    print(text, flush=True)


def submit(url: str) -> int:
    """`imgsvc submit build/photos --out demo-out`; returns its exit code."""
    arguments = ["submit", str(PHOTOS), "--out", str(RESULTS), "--server", url]
    say(f"\n$ imgsvc {' '.join(arguments)}")
    process = subprocess.Popen([sys.executable, "-m", "imgsvc", *arguments])
    if not sys.stderr.isatty():
        asyncio.run(report_progress(url, process))
    return process.wait()


async def report_progress(url: str, process: subprocess.Popen[bytes]) -> None:
    """Where the command has no terminal to draw its bars on: a line whenever something is done."""
    reported = ""
    async with Client(url) as client:
        while process.poll() is None:
            async for job in client.jobs():
                line = f"{job['completed'] + job['failed']} of {job['total']} photos done"
                if line != reported:
                    say(line)
                    reported = line
            await asyncio.sleep(0.5)


async def fetch_images(url: str) -> list[Image]:
    """The images of the newest job, by name: they have arrived over several connections."""
    async with Client(url) as client:
        async for job in client.jobs():
            images = [image async for image in client.images(job["id"])]
            return sorted(images, key=lambda image: image["name"])
    return []


def show_results(images: Sequence[Image]) -> None:
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    table = Table(
        title=f"What is in {RESULTS}/ now",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column("photo", no_wrap=True)
    table.add_column("as sent", justify="right", no_wrap=True)
    variants = [output["variant"] for output in images[0]["outputs"]]
    for variant in variants:
        table.add_column(variant, justify="right", no_wrap=True)
    for image in images:
        made = {output["variant"]: _describe(dict(output)) for output in image["outputs"]}
        table.add_row(
            image["name"],
            _describe(image["input"]),
            *(made.get(variant, "-") for variant in variants),
        )
    console.print(table)


def _describe(facts: dict[str, object]) -> str:
    """Short enough for a table of five columns on eighty."""
    return f"{facts['width']}x{facts['height']} {int(str(facts['size_bytes'])) / 1000:,.0f} kB"


def check_results(images: Sequence[Image]) -> None:
    """Raises SystemExit unless every output that the server names was downloaded whole."""
    named = [output["size_bytes"] for image in images for output in image["outputs"]]
    saved = Counter(path.stat().st_size for path in RESULTS.rglob("*") if path.is_file())
    if not named or Counter(named) - saved:  # others may stand there from before
        raise SystemExit(f"The server names {len(named)} files, and not all were saved.")


def run(folder: Path) -> int:
    say(f"Making {COUNT} photos of 2 to 24 megapixels in {PHOTOS}/, unless they are there …")
    photos = make_photos(PHOTOS, COUNT)
    sent_bytes = sum(photo.stat().st_size for photo in photos)
    workers = len(os.sched_getaffinity(0))
    with ServerProcess(folder / "data", workers) as server:
        say(f"The server at {server.url} was ready after {server.start_s:.2f} s.")
        begin = time.perf_counter()
        code = submit(server.url)
        elapsed_s = time.perf_counter() - begin
        if code != 0:
            say(f"The submit ended with exit code {code}. The server said:\n{server.log_tail()}")
            return code
        images = asyncio.run(fetch_images(server.url))
    say("")
    show_results(images)
    check_results(images)
    made = [output["size_bytes"] for image in images for output in image["outputs"]]
    say(
        f"{len(images)} photos ({decimal(sent_bytes)}) became {len(made)} files "
        f"({decimal(sum(made))}) in {elapsed_s:.1f} s, sending and saving included, "
        f"with {workers} workers.\n"
        f"Look at {RESULTS}/, or start a server of your own: make serve"
    )
    return 0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="imgsvc-demo-") as folder:
        try:
            return run(Path(folder))
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())
