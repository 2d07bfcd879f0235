"""The page: what a browser is told of it, and that it holds all of the document."""

from __future__ import annotations

import re
import shlex
from html.parser import HTMLParser

from imgsvc.api.openapi.document import build_document
from imgsvc.api.openapi.markup import element, prose, table
from imgsvc.api.openapi.page import render_page
from imgsvc.api.openapi.samples import curl_commands
from imgsvc.config import LimitSettings

BASE = "https://images.example"
DOCUMENT = build_document(LimitSettings())
VOID = {"meta", "link"}


class Outline(HTMLParser):
    """ids, links and what is loaded; every element is closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.names: set[str] = set()
        self.commands: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names.add(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        if tag == "a":
            self.links.append(given["href"] or "")
        elif "src" in given or "href" in given:
            self.loads.append(given.get("src") or given.get("href") or "")
        assert not {name for name in given if name.startswith("on") or name == "style"}
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-2:] == ["pre", "code"] and data.startswith("curl "):
            self.commands.append(data)


def outline() -> Outline:
    return Outline(render_page(DOCUMENT, BASE))


def test_every_operation_and_every_schema_has_its_place_and_every_link_leads_to_one() -> None:
    page = outline()
    operations = {
        o["operationId"] for methods in DOCUMENT["paths"].values() for o in methods.values()
    }
    schemas = {f"schema-{name}" for name in DOCUMENT["components"]["schemas"]}
    assert operations | schemas <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside <= set(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == {"openapi.json"}


def test_it_runs_nothing_and_loads_nothing() -> None:
    page = outline()
    assert page.loads == ["data:,"]
    assert not page.names & {"script", "iframe", "img", "object", "form"}


def test_its_commands_ask_for_what_is_described() -> None:
    templates = {re.sub(r"{\w+}", "[^/]+", path) for path in DOCUMENT["paths"]}
    commands = [shlex.split(command) for command in outline().commands]
    assert len(commands) > len(DOCUMENT["paths"])
    for words in commands:
        path = words[-1].removeprefix(BASE).partition("?")[0]
        assert any(re.fullmatch(template, path) for template in templates), path


def test_an_example_is_quoted_once_in_a_query() -> None:
    example = {"name": "label", "in": "query", "example": "a b&c"}
    operation = {"parameters": [example], "responses": {}}
    assert curl_commands("get", "/x", operation, BASE) == [("", f"curl '{BASE}/x?label=a+b%26c'")]


def test_what_comes_from_outside_is_text() -> None:
    assert "<b>" not in render_page(DOCUMENT, "http://<b>x</b>")
    assert element("p", "<i>", title='"') == '<p title="&quot;">&lt;i&gt;</p>'
    assert prose("`<a>` & b") == "<p><code>&lt;a&gt;</code> &amp; b</p>"
    assert element("nav", aria_label="a", class_="b") == '<nav aria-label="a" class="b"></nav>'
    assert "&lt;td&gt;" in table(["<td>"], [["x"]])
