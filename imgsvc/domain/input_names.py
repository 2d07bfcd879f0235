"""What an image is called: a client's own name for it, fit to be stored."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

from imgsvc.domain.logins import without_login

_SURROGATE = re.compile("[\ud800-\udfff]")
_SLASH = re.compile(r"[/\\]")
_QUERY = re.compile(r"[?#]")
MAX_NAME_CHARS = 255


def without_surrogates(text: str) -> str:
    """Each half of a surrogate pair, as in file names that are not valid UTF-8, is `_`."""
    return _SURROGATE.sub("_", text)


def clean_name(name: str | None) -> str | None:
    """A name fit to be stored: `/` between folders, no control characters, no surrogates.

    Of more than 255 characters the last ones are kept: they tell files apart. None when
    nothing is left.
    """
    if name is None:
        return None
    text = without_surrogates(name).replace("\\", "/")
    if not text.isprintable():
        text = "".join(c for c in text if unicodedata.category(c) != "Cc")
    return text[-MAX_NAME_CHARS:] or None


def name_of_url(url: str) -> str | None:
    """The last part of its path, as a download would be called: fit to be stored, and no folder
    in it, however it is spelled. None where it has none.
    """
    address = _QUERY.split(without_login(url), maxsplit=1)[0]
    path = address.partition("://")[2].partition("/")[2]
    return clean_name(_SLASH.sub("_", unquote(path.rpartition("/")[2])))
