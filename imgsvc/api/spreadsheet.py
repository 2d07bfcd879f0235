"""Tables for spreadsheets: CSV that opens as what it is, and carries no formulas."""

from __future__ import annotations

import asyncio
import codecs
import csv
from collections.abc import AsyncIterator, Collection, Sequence
from io import StringIO

from aiohttp import web

from imgsvc.api.outputs import disposition

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"
FLUSH_CHARS = 64 << 10
"""How much is gathered before it is sent."""

Cell = str | int | None


def rename_taken(titles: Sequence[str], taken: Collection[str]) -> list[str]:
    """Titles from outside, two of which may be the same; one that is taken, in whatever case,
    begins with `source `, as often as it needs to differ from the others.
    """
    barred = {title.casefold() for title in taken}
    known = barred | {title.strip().casefold() for title in titles}
    instead: dict[str, str] = {}  # found once: thousands may be alike
    renamed = []
    for title in titles:
        key = title.strip().casefold()
        if key in barred and key not in instead:
            text = title.strip()
            while text.casefold() in known:
                text = f"source {text}"
            known.add(text.casefold())
            instead[key] = text
        renamed.append(instead.get(key, title))
    return renamed


class Table:
    """CSV after RFC 4180, taken out in pieces.

    with_bom: begin with a byte order mark, without which some spreadsheets do not take it
    for UTF-8.
    """

    def __init__(self, delimiter: str = ",", *, with_bom: bool = False) -> None:
        self._buffer = StringIO(newline="")
        self._writer = csv.writer(self._buffer, delimiter=delimiter)
        self._mark = codecs.BOM_UTF8 if with_bom else b""

    @property
    def size_chars(self) -> int:
        return self._buffer.tell()

    def add(self, row: Sequence[Cell]) -> None:
        self._writer.writerow(row)

    def take(self) -> bytes:
        text = self._mark + self._buffer.getvalue().encode()
        self._mark = b""
        self._buffer.seek(0)
        self._buffer.truncate()
        return text


async def send_table(
    request: web.Request, name: str, table: Table, rows: AsyncIterator[Sequence[Cell]]
) -> web.StreamResponse:
    """A table as a file, written while its rows are read; what they raise breaks it off."""
    headers = {"Content-Type": MEDIA_TYPE, "Content-Disposition": disposition("attachment", name)}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if request.method != "HEAD":
        async for row in rows:
            table.add(row)
            if table.size_chars > FLUSH_CHARS:
                await response.write(table.take())
                await asyncio.sleep(0)  # a reader that is fast enough is never waited for
        await response.write(table.take())
    await response.write_eof()
    return response
