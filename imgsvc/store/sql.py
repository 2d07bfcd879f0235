"""The statements in queries/*.sql, by name.

A block begins with `-- name: <name>` and a comment that says what it is for, and ends
where the next one begins.
"""

from __future__ import annotations

import re
from pathlib import Path

_FOLDER = Path(__file__).parent / "queries"
_BLOCK = re.compile(r"^-- name: (\w+)\n(-- .+?\n)+", re.MULTILINE)


def load_statements(file_name: str) -> dict[str, str]:
    """The statements of one file. Raises ValueError for a name used twice."""
    text = (_FOLDER / file_name).read_text(encoding="utf-8")
    heads = list(_BLOCK.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    statements: dict[str, str] = {}
    for head, end in zip(heads, ends, strict=True):
        if head[1] in statements:
            raise ValueError(f"{file_name}: {head[1]} stands there twice")
        statements[head[1]] = text[head.end() : end].strip()
    return statements


JOBS = load_statements("jobs.sql")
IMAGES = load_statements("images.sql")
EXPORTS = load_statements("exports.sql")
KEYS = load_statements("keys.sql")
PRESETS = load_statements("presets.sql")
WATERMARKS = load_statements("watermarks.sql")
WEBHOOKS = load_statements("webhooks.sql")
FETCHES = load_statements("fetches.sql")
FOLDERS = load_statements("folders.sql")
