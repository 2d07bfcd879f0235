"""Every promise of reliability names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import imgsvc

ROOT = Path(imgsvc.__file__).parent.parent
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+)`", PAGE)))
FILES = sorted(set(re.findall(r"`(\w+/test_\w+\.py)`", PAGE)))


@pytest.fixture(scope="module")
def defined() -> set[str]:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    return set(re.findall(r"def (test_\w+)\(", text))


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 20


@pytest.mark.parametrize("name", NAMED)
def test_every_test_that_is_named_is_there(name: str, defined: set[str]) -> None:
    assert name in defined


@pytest.mark.parametrize("file", FILES)
def test_every_file_that_is_named_is_there(file: str) -> None:
    assert (ROOT / "tests" / file).exists()
