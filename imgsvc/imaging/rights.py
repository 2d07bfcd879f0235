"""Whose picture it is, and what may be done with it: read from EXIF, XMP and IPTC, written
anew, so that nothing else comes along.

EXIF 2.32 (4.6.4), XMP part 1 and 2, IPTC Information Interchange Model 4.2. What cannot be
parsed has no rights in it: the blocks may come from anywhere.
"""

from __future__ import annotations

import codecs
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple
from xml.etree import ElementTree

from PIL import Image

from imgsvc.imaging.photoshop import IPTC, Resource, read_resources, write_resources

_MAX_BLOCK_BYTES = 1 << 20
_MAX_TEXT = 2000

_ARTIST, _COPYRIGHT = 0x013B, 0x8298

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_XMP_RIGHTS = "http://ns.adobe.com/xap/1.0/rights/"
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_META = "adobe:ns:meta/"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_ARRAYS = frozenset(f"{{{_RDF}}}{kind}" for kind in ("Alt", "Seq", "Bag"))
_DC_RIGHTS, _DC_CREATOR = f"{{{_DC}}}rights", f"{{{_DC}}}creator"
_KEPT_TAGS = frozenset({_DC_RIGHTS, _DC_CREATOR, f"{{{_PHOTOSHOP}}}Credit"})
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_PREFIXES = {"x": _META, "rdf": _RDF, "dc": _DC, "xmpRights": _XMP_RIGHTS, "photoshop": _PHOTOSHOP}

_DATASET = 0x1C
_CHARSET, _UTF8 = (1, 90), b"\x1b%G"
_BYLINE, _CREDIT, _COPYRIGHT_NOTICE = (2, 80), (2, 110), (2, 116)
_KEPT_DATASETS = (_BYLINE, _CREDIT, _COPYRIGHT_NOTICE)

for _prefix, _uri in _PREFIXES.items():
    ElementTree.register_namespace(_prefix, _uri)


class Kept(NamedTuple):
    """Blocks as `imaging.metadata` holds them. incomplete: a block was too large to look at."""

    exif: bytes | None
    xmp: bytes | None
    iptc: bytes | None
    incomplete: bool


def keep_rights(
    exif: bytes | None, xmp: bytes | None, iptc: bytes | None, texts: Mapping[str, str]
) -> Kept:
    """The rights alone. Notice and author, wherever they stood, are in every block, because
    few formats hold all three.

    texts: of a PNG, by keyword (PNG, third edition, 11.3.3.2).
    """
    blocks = [block for block in (exif, xmp, iptc) if block]
    tags = _read_exif(_handy(exif))
    statements = _read_xmp(_handy(xmp))
    datasets = _read_iptc(_handy(iptc))
    notice = (
        tags.get(_COPYRIGHT)
        or _text_of(statements, _DC_RIGHTS)
        or datasets.get(_COPYRIGHT_NOTICE)
        or _plain(texts.get("Copyright", ""))
    )
    author = (
        tags.get(_ARTIST)
        or _text_of(statements, _DC_CREATOR)
        or datasets.get(_BYLINE)
        or _plain(texts.get("Author", ""))
    )
    return Kept(
        _write_exif(notice, author),
        _write_xmp(statements, notice, author),
        _write_iptc(datasets, notice, author),
        any(len(block) > _MAX_BLOCK_BYTES for block in blocks),
    )


def _handy(block: bytes | None) -> bytes:
    return block if block is not None and len(block) <= _MAX_BLOCK_BYTES else b""


def _read_exif(block: bytes) -> dict[int, str]:
    exif = Image.Exif()
    found = {}
    # Pillow says what is wrong with a block, and lets some errors through
    with (
        warnings.catch_warnings(action="ignore"),
        suppress(SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error),
    ):
        exif.load(block)
        for tag in (_ARTIST, _COPYRIGHT):
            value = exif.get(tag)
            if isinstance(value, str) and (text := _plain(_as_utf8(value))):
                found[tag] = text
    return found


def _as_utf8(text: str) -> str:
    """Pillow reads bytes as Latin-1; most programs write UTF-8."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _write_exif(notice: str | None, author: str | None) -> bytes | None:
    exif = Image.Exif()
    if author:
        exif[_ARTIST] = author.encode()
    if notice:
        exif[_COPYRIGHT] = notice.encode()
    return exif.tobytes() if len(exif) else None


def _read_xmp(block: bytes) -> list[ElementTree.Element]:
    """Its statements of rights, as elements of a description.

    A document type, which XMP never has, could name entities that expand without end. It is
    looked for in decoded text, which the parser takes as it is: an encoding could hide it.
    """
    try:
        text = block.decode("utf-16" if block.startswith(_UTF16_MARKS) else "utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            return []
        root = ElementTree.fromstring(text.strip("\0 \r\n\t"))  # noqa: S314 - see above
    except (ElementTree.ParseError, ValueError, LookupError):
        return []
    kept = []
    for description in root.iter(f"{{{_RDF}}}Description"):
        kept += [_rebuild(child) for child in description if _is_about_rights(child.tag)]
        for name, value in description.attrib.items():
            if _is_about_rights(name):
                statement = ElementTree.Element(name)
                statement.text = value
                kept.append(statement)
    return kept


def _rebuild(statement: ElementTree.Element) -> ElementTree.Element:
    """Its text, or the items of its array with their languages, and nothing else: anything
    could be written into it.
    """
    rebuilt = ElementTree.Element(statement.tag)
    array = next((child for child in statement if child.tag in _ARRAYS), None)
    if array is None:
        rebuilt.text = statement.text
        return rebuilt
    listed = ElementTree.SubElement(rebuilt, array.tag)
    for item in array.iter(f"{{{_RDF}}}li"):
        kept = ElementTree.SubElement(listed, item.tag)
        kept.text = item.text
        if language := item.get(_LANGUAGE):
            kept.set(_LANGUAGE, language)
    return rebuilt


def _is_about_rights(tag: str) -> bool:
    return tag in _KEPT_TAGS or tag.startswith(f"{{{_XMP_RIGHTS}}}")


def _text_of(statements: list[ElementTree.Element], tag: str) -> str | None:
    for statement in statements:
        if statement.tag == tag:
            return _plain(" ".join(statement.itertext()))
    return None


def _write_xmp(
    statements: list[ElementTree.Element], notice: str | None, author: str | None
) -> bytes | None:
    statements = list(statements)
    there = {statement.tag for statement in statements}
    if notice and _DC_RIGHTS not in there:
        statements.append(_listed(_DC_RIGHTS, "Alt", notice))
    if author and _DC_CREATOR not in there:
        statements.append(_listed(_DC_CREATOR, "Seq", author))
    if not statements:
        return None
    meta = ElementTree.Element(f"{{{_META}}}xmpmeta")
    rdf = ElementTree.SubElement(meta, f"{{{_RDF}}}RDF")
    description = ElementTree.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    description.extend(statements)
    packet: bytes = ElementTree.tostring(meta, encoding="utf-8", xml_declaration=False)
    return packet


def _listed(tag: str, kind: str, text: str) -> ElementTree.Element:
    """XMP part 1, 7.7 and 7.9.2.5: an ordered array, or alternatives by language."""
    statement = ElementTree.Element(tag)
    array = ElementTree.SubElement(statement, f"{{{_RDF}}}{kind}")
    item = ElementTree.SubElement(array, f"{{{_RDF}}}li")
    if kind == "Alt":
        item.set(_LANGUAGE, "x-default")
    item.text = text
    return statement


def _read_iptc(block: bytes) -> dict[tuple[int, int], str]:
    """The first value of each dataset that is kept."""
    raw: dict[tuple[int, int], bytes] = {}
    for key, value in _datasets(_iptc_resource(block)):
        raw.setdefault(key, value)
    encoding = "utf-8" if raw.get(_CHARSET) == _UTF8 else "latin-1"
    texts = {
        key: _plain(raw[key].decode(encoding, "replace")) for key in _KEPT_DATASETS if key in raw
    }
    return {key: text for key, text in texts.items() if text}


def _iptc_resource(block: bytes) -> bytes:
    """Of Photoshop's resources the one with IPTC; or the block, if it is that alone."""
    if block[:1] == bytes([_DATASET]):
        return block
    return next((data for number, data in read_resources(block) if number == IPTC), b"")


def _datasets(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Extended datasets (more than 32 767 bytes) end the walk: no text is that long."""
    at = 0
    while at + 5 <= len(data) and data[at] == _DATASET:
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if size & 0x8000:
            return
        yield (data[at + 1], data[at + 2]), data[at + 5 : at + 5 + size]
        at += 5 + size


def _write_iptc(
    datasets: Mapping[tuple[int, int], str], notice: str | None, author: str | None
) -> bytes | None:
    texts = {_BYLINE: author, _CREDIT: datasets.get(_CREDIT), _COPYRIGHT_NOTICE: notice}
    kept = {key: text for key, text in texts.items() if text}
    if not kept:
        return None
    data = _dataset(_CHARSET, _UTF8)
    data += b"".join(_dataset(key, text.encode()) for key, text in kept.items())
    return write_resources([Resource(IPTC, data)])


def _dataset(key: tuple[int, int], value: bytes) -> bytes:
    return bytes([_DATASET, *key]) + len(value).to_bytes(2, "big") + value


def _plain(text: str) -> str | None:
    """Without what ends a string or does not show, and not endless; None for nothing."""
    shown = "".join(c for c in text if c.isprintable() or c == " ").strip()
    return shown[:_MAX_TEXT] or None
