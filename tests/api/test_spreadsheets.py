"""What we give out as CSV opens in a real spreadsheet program as what it is."""

from __future__ import annotations

import asyncio
import csv
import os
import shutil
import subprocess
import zipfile
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fetching.hosts import answer, running_host
from tests.pictures import make_jpeg
from tests.servers import Running, make_settings, running_server

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed"),
]

UTF8 = 76
"""LibreOffice's number of it, in the options of its CSV filters."""

Rows = list[list[str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    fetch = {"allow_private": True}
    async with running_server(make_settings(tmp_path_factory.mktemp("data"), fetch=fetch)) as it:
        yield it


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def job(server: Running) -> dict[str, Any]:
    """Of a list with semicolons and everything that a spreadsheet might take amiss."""
    async with running_host() as host:
        host.answers["/ä.jpg"] = answer(make_jpeg(30, 20))
        url, gone = host.url("/%C3%A4.jpg"), host.url("/gone.jpg")
        host.answers["/%C3%A4.jpg"] = host.answers["/ä.jpg"]
        rows = [
            ["S. No.", "Product Name", "Input Image Urls", "Größe, cm", "=1+1"],
            ["1", "靴 № 5; “made”", f"{url}, {gone}", "-5", '=HYPERLINK("http://x/";"y")'],
            ["-2", "line one\nline two", url, "+3,20", "@SUM(A1:A9)"],
            ["3", "Hat", gone, "\t=1+1", "+1+1"],
        ]
        text = StringIO(newline="")
        csv.writer(text, delimiter=";").writerows(rows)
        async with server.http.post(
            "/api/v1/jobs?preset=compress",
            data=text.getvalue().encode("utf-8-sig"),
            headers={"Content-Type": "text/csv", "Prefer": "wait=50"},
        ) as response:
            made: dict[str, Any] = await response.json()
            assert (response.status, made["status"]) == (200, "partial")
            return made


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profile")


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize(("path", "delimiter"), [("/api/v1/jobs/{id}/report.csv", ","),
                                                 ("/api/download/{id}", ";")])  # fmt: skip
async def test_a_table_that_is_opened_and_saved_is_the_same(
    server: Running, job: dict[str, Any], profile: Path, tmp_path: Path,
    path: str, delimiter: str, form: str,
) -> None:  # fmt: skip
    async with server.http.get(path.format(id=job["id"])) as response:
        content = await response.read()
    given = tmp_path / "given.csv"
    given.write_bytes(content)
    saved = await asyncio.to_thread(save_again, given, delimiter, form, profile)
    assert plain(read(saved, delimiter)) == plain(read(given, delimiter))
    assert "靴 № 5; “made”" in saved.read_text(encoding="utf-8-sig")


def save_again(given: Path, delimiter: str, form: str, profile: Path) -> Path:
    """Opened, saved in a form, opened from there, and saved as CSV."""
    options = f"{ord(delimiter)},34,{UTF8},1"
    out = given.parent / "saved"
    if form == "xlsx":
        convert(given, "xlsx", given.parent, profile, f"--infilter=CSV:{options}")
        given = given.with_suffix(".xlsx")
        with zipfile.ZipFile(given) as book:
            assert b"<f" not in book.read("xl/worksheets/sheet1.xml").replace(b"<fo", b"")
        convert(given, f"csv:Text - txt - csv (StarCalc):{options}", out, profile)
    else:
        csv_form = f"csv:Text - txt - csv (StarCalc):{options}"
        convert(given, csv_form, out, profile, f"--infilter=CSV:{options}")
    return out / "given.csv"


def convert(file: Path, form: str, out: Path, profile: Path, *options: str) -> None:
    home = f"-env:UserInstallation={profile.as_uri()}"
    command = ["soffice", "--headless", home, *options, "--convert-to", form, "--outdir", str(out)]
    # what draws text in this process has set which fonts there are, for itself alone
    env = {name: value for name, value in os.environ.items() if name != "FONTCONFIG_FILE"}
    done = subprocess.run(
        [*command, str(file)], capture_output=True, text=True, timeout=50, env=env
    )
    assert done.returncode == 0, done.stdout + done.stderr


def read(file: Path, delimiter: str) -> Rows:
    text = file.read_text(encoding="utf-8-sig")
    return list(csv.reader(StringIO(text, newline=""), delimiter=delimiter))


def plain(rows: Rows) -> Rows:
    """Truth is written in capitals by some."""
    return [[cell.lower() if cell.lower() in ("true", "false") else cell for cell in row]
            for row in rows]  # fmt: skip
