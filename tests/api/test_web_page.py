"""The web page as files over HTTP; what it does is in tests/page."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

import imgsvc
from imgsvc.api import web_page
from imgsvc.domain.extensions import IMAGE_EXTENSIONS
from tests.pictures import make_jpeg
from tests.servers import Running, form_of

in_the_modules_loop = pytest.mark.asyncio(loop_scope="module")

FILES = sorted(path.name for path in web_page.FOLDER.iterdir())
MAX_LINES = 450


def read(name: str) -> str:
    return (web_page.FOLDER / name).read_text(encoding="utf-8")


def policy_of(answer: aiohttp.ClientResponse) -> dict[str, str]:
    directives = answer.headers["Content-Security-Policy"].split("; ")
    return {name: value for name, _, value in (each.partition(" ") for each in directives)}


@in_the_modules_loop
async def test_the_page_is_at_the_root_and_links_the_documentation(server: Running) -> None:
    async with server.http.get("/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert 'href="/docs"' in await answer.text()


@in_the_modules_loop
@pytest.mark.parametrize("path", ["/", "/web/main.js", "/web/icon.svg"])
async def test_browsers_are_told_to_refuse_whatever_is_not_the_pages_own(
    server: Running, path: str
) -> None:
    async with server.http.get(path) as answer:
        policy = policy_of(answer)
        headers = answer.headers
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == policy["form-action"] == "'none'"
    own = ("script-src", "style-src", "img-src", "connect-src")
    assert [policy[name] for name in own] == ["'self'"] * 4
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@in_the_modules_loop
@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_served_as_what_it_is(server: Running, name: str) -> None:
    kinds = {"js": "text/javascript", "css": "text/css", "html": "text/html"}
    async with server.http.get(f"/web/{name}") as answer:
        assert answer.status == 200
        assert answer.content_type == kinds.get(name.rpartition(".")[2], "image/svg+xml")
        assert answer.charset == "utf-8"
        assert await answer.read() == (web_page.FOLDER / name).read_bytes()


@in_the_modules_loop
@pytest.mark.parametrize("path", ["/", "/web/main.js"])
async def test_a_file_that_a_browser_has_is_not_sent_again(server: Running, path: str) -> None:
    async with server.http.get(path) as answer:
        etag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "no-cache"
    for known in (etag, f'"other", W/{etag}', "*"):
        async with server.http.get(path, headers={"If-None-Match": known}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
            assert answer.headers["ETag"] == etag
            assert "Content-Security-Policy" in answer.headers
    async with server.http.get(path, headers={"If-None-Match": '"other"'}) as answer:
        assert answer.status == 200


@in_the_modules_loop
async def test_head_says_the_same_without_the_file(server: Running) -> None:
    async with server.http.get("/") as answer:
        size_bytes = len(await answer.read())
    async with server.http.head("/") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.content_length == size_bytes


@in_the_modules_loop
@pytest.mark.parametrize(
    "path",
    [
        "/web/none.js",
        "/web/",
        "/web",
        "/web/../web_page.py",
        "/web/..%2Fweb_page.py",
        "/web/%2e%2e%2f%2e%2e%2fconfig.py",
        "/web/%2Fetc%2Fpasswd",
        "/web/..%5Cweb_page.py",
        "/web/main.js%00",
    ],
)
async def test_nothing_else_is_served_below_it(server: Running, path: str) -> None:
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    assert answer.startswith("HTTP/1.1 404")
    assert "application/problem+json" in answer
    assert '"code": "not_found"' in answer


@in_the_modules_loop
async def test_the_page_takes_no_other_methods(server: Running) -> None:
    async with server.http.post("/", data=b"") as answer:
        assert (answer.status, (await answer.json())["code"]) == (405, "method_not_allowed")


@in_the_modules_loop
async def test_a_job_of_the_page_says_so(server: Running) -> None:
    async with server.http.post(
        "/api/v1/jobs",
        data=form_of(("a.jpg", make_jpeg(20, 20))),
        headers={"X-Requested-With": "imgsvc-page", "User-Agent": "Mozilla/5.0"},
    ) as answer:
        assert (await answer.json())["source"] == "page"
    async with server.http.post(
        "/api/v1/jobs",
        data=form_of(("a.jpg", make_jpeg(20, 20))),
        headers={"X-Requested-With": "XMLHttpRequest"},
    ) as answer:
        assert (await answer.json())["source"] == "api"


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    page = read("index.html")
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page) == []
    assert re.findall(r'(?:src|href)="(?![/#])', page) == []
    for name in FILES:
        loaded = re.findall(r"(?:from|import|url\()\s*[\"']?(https?:|//)", read(name))
        assert loaded == [], name


def test_no_text_becomes_markup_anywhere() -> None:
    ways = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|srcdoc")
    assert [name for name in FILES if ways.search(read(name))] == []


def test_every_module_and_style_is_named_by_the_page_so_that_all_load_at_once() -> None:
    named = set(re.findall(r'"/web/([^"]+)"', read("index.html")))
    assert named == {name for name in FILES if name != web_page.START}


def imports_of(name: str) -> Iterator[str]:
    yield from re.findall(r'from "\./([\w.]+)"', read(name))


def test_every_import_is_there() -> None:
    modules = [name for name in FILES if name.endswith(".js")]
    assert {each for name in modules for each in imports_of(name)} <= set(FILES)


def test_every_file_can_be_read_in_one_sitting() -> None:
    lines = {name: read(name).splitlines() for name in FILES}
    assert {name for name, each in lines.items() if len(each) > MAX_LINES} == set()
    assert {name for name, each in lines.items() if any(len(line) > 100 for line in each)} == set()


def test_the_page_takes_the_same_files_of_a_folder_as_the_commands() -> None:
    pattern = "".join(re.findall(r'"([^"]*)"', read("drop.js").partition("IMAGE_NAME")[2])[:2])
    image_name = re.compile(pattern.replace("\\\\", "\\"), re.IGNORECASE)
    assert [name for name in IMAGE_EXTENSIONS if not image_name.search(f"a{name}")] == []
    assert not image_name.search("notes.txt")


def colours(scheme: str) -> dict[str, str]:
    light, _, rest = read("base.css").partition("@media (prefers-color-scheme: dark)")
    text = light if scheme == "light" else light + rest.partition("\n}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text))


def luminance(colour: str) -> float:
    """Relative, by WCAG 2."""
    values = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *((text, ground) for text in ("ink", "quiet") for ground in ("ground", "panel", "sunk")),
        *(("strong", ground) for ground in ("ground", "panel", "strong-soft")),
        *(("bad", ground) for ground in ("ground", "panel", "bad-soft")),
        ("quiet", "strong-soft"),
        ("on-strong", "strong"),
        ("panel", "bad"),
    ],
)
def test_every_text_can_be_read(scheme: str, text: str, ground: str) -> None:
    found = colours(scheme)
    dark, light = sorted(luminance(found[name]) for name in (text, ground))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_a_wheel_has_the_page(tmp_path: Path) -> None:
    root = Path(imgsvc.__file__).parent.parent
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=root,
        check=True,
        capture_output=True,
        timeout=60,
    )
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {f"imgsvc/api/web/{name}" for name in FILES} <= set(names)
