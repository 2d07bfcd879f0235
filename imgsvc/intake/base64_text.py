"""Base64 in pieces of any length: both alphabets, whitespace, padding or none (RFC 4648)."""

from __future__ import annotations

import binascii
import re

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n\f\v"
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_DATA_URI = re.compile(rb"\s*data:[^,]*;\s*base64\s*,", re.IGNORECASE)
_DATA_URI_START = re.compile(rb"\s*data:", re.IGNORECASE)

MAX_DATA_URI_HEADER_BYTES = 1024


class BrokenBase64(ValueError):
    """The text is not base64."""


class Base64Decoder:
    """Feed it text, write what it returns; `finish` tells whether it was whole."""

    def __init__(self) -> None:
        self._rest = b""  # fewer than 4 characters, all of the standard alphabet
        self._padding = 0

    def feed_clean(self, text: bytes) -> bytes | None:
        """The fast way, for text of the standard alphabet alone.

        None, with nothing taken, when `text` holds anything else.
        """
        if self._padding:
            return None
        text = self._rest + text
        whole = len(text) & ~3
        try:
            # Strict: by default everything outside the alphabet is skipped in silence.
            data = binascii.a2b_base64(memoryview(text)[:whole], strict_mode=True)
            rest = text[whole:]
        except binascii.Error:
            return None
        if len(data) * 4 != whole * 3 or rest.translate(None, _ALPHABET):
            return None  # it is padded, or the last few characters are foreign
        self._rest = rest
        return data

    def feed(self, text: bytes) -> bytes:
        """Raises BrokenBase64 for a character that has no place here."""
        data = self.feed_clean(text)
        if data is not None:
            return data
        text = text.translate(_TO_STANDARD, _WHITESPACE)
        text, equals, tail = text.partition(b"=")
        if text and self._padding:
            raise BrokenBase64
        self._padding += len(equals) + len(tail)
        if tail.strip(b"=") or self._padding > 2:
            raise BrokenBase64
        return self._decode(text)

    def finish(self) -> bytes:
        """The last bytes. Missing padding is let pass, a lone character is not."""
        if len(self._rest) == 1 or self._padding > -len(self._rest) % 4:
            raise BrokenBase64
        rest, self._rest = self._rest, b""
        return binascii.a2b_base64(rest + b"=" * (-len(rest) % 4))

    def _decode(self, text: bytes) -> bytes:
        if not text:
            return b""
        padding, self._padding = self._padding, 0
        data = self.feed_clean(text)
        self._padding = padding
        if data is None:
            raise BrokenBase64
        return data


def cut_data_uri(text: bytes, *, is_whole: bool) -> bytes | None:
    """The base64 text after the header of a `data:` URI; text that is no URI, as it is.

    None when that cannot be told before more text comes. Raises BrokenBase64 for a
    `data:` URI that is not base64.
    """
    if match := _DATA_URI.match(text):
        return text[match.end() :]
    waits = not is_whole and len(text) < MAX_DATA_URI_HEADER_BYTES
    if _DATA_URI_START.match(text):
        if waits and b"," not in text:
            return None
        raise BrokenBase64
    may_become_one = b"data:".startswith(text.lstrip()[:5].lower())
    return None if waits and may_become_one else text
