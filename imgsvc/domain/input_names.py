"""What an image is called: a client's own name for it, fit to be stored."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote, urlsplit

from imgsvc.domain.logins import without_login

MAX_NAME_CHARS = 255


def clean_name(name: str | None) -> str | None:
    """A name fit to be stored: `/` between folders, no control characters.

    Of more than 255 characters the last ones are kept: they tell files apart. None when
    nothing is left.
    """
    if name is None:
        return None
    text = name.replace("\\", "/")
    if not text.isprintable():
        text = "".join(c for c in text if unicodedata.category(c) not in {"Cc", "Cs"})
    return text[-MAX_NAME_CHARS:] or None


def name_of_url(url: str) -> str | None:
    """The last part of its path, as a download would be called; None where it has none."""
    try:
        path = urlsplit(without_login(url)).path
    except ValueError:  # whoever fetches it will say so
        return None
    return unquote(path.rpartition("/")[2]) or None
