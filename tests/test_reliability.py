"""Every promise of reliability names the fault that tests it, and a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import imgsvc

ROOT = Path(imgsvc.__file__).parent.parent
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
POINTS = (
    "Crash and kill", "Poison", "Memory", "Disk", "Sandbox", "Overload", "Database", "Time",
    "Watched folders",
)  # fmt: skip

Row = tuple[str, str, str]


def _read_sections() -> dict[str, list[Row]]:
    """The rows of promises below each heading: promise, fault, tests."""
    sections: dict[str, list[Row]] = {}
    for part in PAGE.split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        table = text.partition("| promise | fault | test |\n")[2]
        rows = [row.split(" | ") for row in re.findall(r"^\| (.*) \|$", table, re.MULTILINE)]
        sections[heading] = [(row[0], row[1], row[2]) for row in rows if row[0] != "---"]
    return sections


SECTIONS = _read_sections()
ROWS = [row for rows in SECTIONS.values() for row in rows]


def _tests_of(cell: str) -> list[tuple[str, str]]:
    """File and name of each; a name without a file is in the one before."""
    found, file = [], ""
    for word in re.findall(r"`([^`]+)`", cell):
        if word.endswith(".py"):
            file = word
        else:
            found.append((file, word))
    return found


@pytest.mark.parametrize("point", POINTS)
def test_every_point_has_promises(point: str) -> None:
    assert len(SECTIONS[point]) >= 3


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_promise_names_a_fault_and_tests_that_are_there(row: Row) -> None:
    promise, fault, cell = row
    assert promise.strip()
    assert fault.strip()
    tests = _tests_of(cell)
    assert tests
    for file, name in tests:
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{file}: {name}"


def test_no_promise_is_lost_by_the_way_it_is_written() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named == {name for *_, cell in ROWS for _, name in _tests_of(cell)}
