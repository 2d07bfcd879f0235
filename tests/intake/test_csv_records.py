"""Records of CSV files: whatever was written comes back cell for cell."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsvc.intake import csv_records
from imgsvc.intake.csv_records import DELIMITERS, read_records

TEXT = st.text(
    st.one_of(st.sampled_from(" \",;\t\r\n'=ä"), st.characters(exclude_categories=["Cs"]))
)
CELLS = TEXT.filter(lambda text: "\0" not in text)
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=5), max_size=6)


def read(text: str, delimiter: str = ",") -> list[list[str]]:
    records = list(read_records(StringIO(text, newline=""), delimiter))
    assert [record.number for record in records] == list(range(1, len(records) + 1))
    assert not any(record.fault for record in records)
    return [record.cells for record in records]


def fault_of(text: str) -> tuple[int, str | None]:
    *_, last = read_records(StringIO(text, newline=""), ",")
    return last.number, last.fault


@given(ROWS, st.sampled_from(DELIMITERS), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_a_writer_writes_comes_back(
    rows: list[list[str]], delimiter: str, line_end: str
) -> None:
    buffer = StringIO(newline="")
    # it quotes a line end only where it is its own
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL if line_end == "\r\n" else csv.QUOTE_ALL
    csv.writer(buffer, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows(
        rows
    )
    assert read(buffer.getvalue(), delimiter) == rows


@given(ROWS, st.sampled_from(DELIMITERS), st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_spaces_before_a_quote_are_no_part_of_the_cell(
    rows: list[list[str]], delimiter: str, widths: list[int]
) -> None:
    def write(number: int, cell: str) -> str:
        return " " * widths[number % len(widths)] + '"' + cell.replace('"', '""') + '"'

    lines = [delimiter.join(write(n, cell) for n, cell in enumerate(row)) for row in rows]
    assert read("\n".join(lines), delimiter) == rows


@given(st.text(st.sampled_from('a ",\n'), max_size=40))
def test_without_such_spaces_it_reads_as_pythons_reader_does(text: str) -> None:
    text = text.replace(" ", "")
    expected = list(csv.reader(StringIO(text, newline="")))
    records = list(read_records(StringIO(text, newline=""), ","))
    assert [record.cells for record in records] == expected


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('1, S1, "https://a, https://b"\n', [["1", " S1", "https://a, https://b"]]),
        ('"a", "b\n, ""c""", " d"\n', [["a", 'b\n, "c"', " d"]]),
        ('  "a",b', [["a", "b"]]),
        ('12" wide, "x"\n', [['12" wide', "x"]]),
        ('a,"b" \n', [["a", "b "]]),
        ("a\n\nb\n", [["a"], [], ["b"]]),
        ("a\rb\r", [["a"], ["b"]]),
        ("", []),
    ],
)
def test_spaces_quotes_and_line_ends_are_read_as_they_are_meant(
    text: str, rows: list[list[str]]
) -> None:
    assert read(text) == rows


@pytest.mark.parametrize("text", ['a,"b\nc\n', 'a,"', '"a""'])
def test_a_quote_that_is_not_closed_is_told_at_the_row_where_it_was_opened(text: str) -> None:
    assert fault_of(f"a,b\n{text}") == (2, "a quote is not closed")


def test_a_record_that_swallows_the_file_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records, "MAX_RECORD_CHARS", 20)
    for text in ('a,"\n' + "b\n" * 20 + '"', "a" * 21, '"\n",' * 10):
        number, fault = fault_of(f"a\n{text}\nc\n")
        assert number == 2
        assert fault is not None
        assert "too long" in fault
        assert fault[-1].isalpha()  # a full stop is put behind it
    assert len(read("a" * 19 + "\n")) == 1


def test_there_is_an_end_to_rows_even_blank_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records, "MAX_RECORDS", 3)
    assert fault_of("\n\n\n")[1] is None
    assert fault_of("\n\n\n\n\n") == (4, "there are more than 3 rows")
