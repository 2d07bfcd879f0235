"""Cells of files that are opened in spreadsheets."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)*")

_FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What a spreadsheet takes for a formula (OWASP, CSV injection), in full width too."""


def guard_cell(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula; a plain number is none."""
    if _NUMBER.fullmatch(text.strip(" ")):
        return text
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
