"""HTML that is put together from elements: text is escaped, elements are not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

_CODE = re.compile(r"`([^`]+)`")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str) -> Html:
    """`class_` stands for `class`, which Python keeps for itself; `_` within a name for `-`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: str, by: str = "") -> Html:
    return Html(escape(by).join(map(_escape, children)))


def prose(text: str) -> Html:
    """Paragraphs, with what stands between backticks as code."""
    return join(*(element("p", phrase(each)) for each in text.strip().split("\n\n")))


def phrase(text: str) -> Html:
    parts = _CODE.split(text)
    return join(*(element("code", part) if n % 2 else part for n, part in enumerate(parts)))


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    head = element("tr", *(element("th", title, scope="col") for title in titles))
    body = [element("tr", *(element("td", cell) for cell in row)) for row in rows]
    whole = element("table", element("thead", head), element("tbody", *body))
    return element("div", whole, class_="table")


def _escape(child: str) -> str:
    return child if isinstance(child, Html) else escape(child)
