"""Small files that ask for much, made by hand; each is called by what it attacks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from tests import foreign, pictures
from tests.hostile.mutator import Specimen

_MEBIBYTE = 1 << 20


def make_bombs() -> list[Specimen]:
    makers = (_png_bombs, _jpeg_bombs, _gif_bombs, _tiff_bombs, _webp_bombs, _box_bombs,
              _other_bombs)  # fmt: skip
    return [Specimen(f"bomb-{name}", "bomb", data) for bombs in makers for name, data in bombs()]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def _with_chunks(*chunks: bytes, png: bytes | None = None) -> bytes:
    """Right after the header's own chunk."""
    data = png or pictures.make_png()
    return data[:33] + b"".join(chunks) + data[33:]


def _png_bombs() -> Iterator[tuple[str, bytes]]:
    zeros = zlib.compress(bytes(60 * _MEBIBYTE), 9)
    yield "png-text", _with_chunks(png_chunk(b"zTXt", b"k\0\0" + zeros))
    small = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(7 * _MEBIBYTE), 9))
    yield "png-many-texts", _with_chunks(*[small] * 200)
    yield "png-long-text", _with_chunks(png_chunk(b"tEXt", b"k\0" + b"x" * (8 * _MEBIBYTE)))
    yield "png-profile", _with_chunks(png_chunk(b"iCCP", b"p\0\0" + zeros))
    profile = pictures.make_p3_profile() + bytes(40 * _MEBIBYTE)
    yield "png-padded-profile", _with_chunks(png_chunk(b"iCCP", b"p\0\0" + zlib.compress(profile)))
    yield "png-million-chunks", _with_chunks(png_chunk(b"tEXt", b"k\0v") * 200_000)
    yield "png-unknown-chunks", _with_chunks(png_chunk(b"abCd", b"") * 300_000)
    yield "png-exif", _with_chunks(png_chunk(b"eXIf", _looping_exif()))
    yield "png-canvas", pictures.make_bomb_png()
    yield "png-widest", pictures.make_bomb_png(2**31 - 1, 1)
    yield "png-highest", pictures.make_bomb_png(1, 2**31 - 1)
    yield "png-no-size", pictures.make_bomb_png(0, 0)
    yield "png-at-the-limit", pictures.png_file(10_000, 10_000, 1, 0, bytes(1251) * 10_000)
    yield "png-missing-pixels", pictures.png_file(9_000, 9_000, 8, 6, bytes(400))
    yield "png-more-pixels", pictures.png_file(8, 8, 8, 0, bytes(60 * _MEBIBYTE))
    yield "png-frames", _with_chunks(png_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    header = pictures.make_png()[:33]
    yield "png-headers", _with_chunks(*[header[8:]] * 1000)


def _jpeg_bombs() -> Iterator[tuple[str, bytes]]:
    data = pictures.make_jpeg()
    progressive = pictures.make_progressive_jpeg(512, 512)
    scan = progressive.rindex(b"\xff\xda")
    one = progressive[scan:].removesuffix(b"\xff\xd9")
    yield "jpeg-scans", progressive[:-2] + one * 3000 + b"\xff\xd9"
    yield "jpeg-scans-allowed", _sized_jpeg(progressive[:-2] + one * 150 + b"\xff\xd9", 9999)
    yield "jpeg-canvas", _sized_jpeg(data, 65_500)
    yield "jpeg-progressive-canvas", _sized_jpeg(progressive, 9_990)
    yield "jpeg-no-size", _sized_jpeg(data, 0)
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + b"Exif\0\0" + bytes(65_527)
    yield "jpeg-many-exifs", data[:2] + segment * 300 + data[2:]
    comment = b"\xff\xfe\0\2"
    yield "jpeg-comments", data[:2] + comment * 500_000 + data[2:]
    profile = b"".join(
        b"\xff\xe2" + struct.pack(">H", 16 + 60_000) + b"ICC_PROFILE\0"
        + bytes((number, 255)) + bytes(60_000)
        for number in range(1, 256)
    )  # fmt: skip
    yield "jpeg-profile", data[:2] + profile + data[2:]
    exif = _looping_exif()
    looping = b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif
    yield "jpeg-exif-loop", data[:2] + looping + data[2:]
    yield "jpeg-fill-bytes", data[:2] + b"\xff" * (4 * _MEBIBYTE) + data[2:]
    yield "jpeg-restarts", data[:-2] + b"\xff\xd0" * _MEBIBYTE + b"\xff\xd9"
    yield "jpeg-in-jpeg", data[:20] + data * 2000


def _sized_jpeg(data: bytes, side: int) -> bytes:
    """With another size in its frame header."""
    at = next(at for mark in (b"\xff\xc0", b"\xff\xc2") if (at := data.find(mark)) >= 0)
    return data[: at + 5] + struct.pack(">HH", side, side) + data[at + 9 :]


def _looping_exif() -> bytes:
    """A directory that is its own successor, and its own sub-directory, with huge counts."""
    entries = struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHII", 0x8825, 4, 1, 8)
    entries += struct.pack("<HHII", 0x927C, 7, 0xFFFFFFF0, 8)
    return struct.pack("<2sHIH", b"II", 42, 8, 3) + entries + struct.pack("<I", 8)


def _gif_bombs() -> Iterator[tuple[str, bytes]]:
    data = pictures.make_gif()
    yield "gif-canvas", data[:6] + struct.pack("<HH", 65_535, 65_535) + data[10:]
    yield "gif-canvas-allowed", data[:6] + struct.pack("<HH", 9_999, 9_999) + data[10:]
    start = 13 + (3 << ((data[10] & 7) + 1))
    yield "gif-frames", data[:start] + data[start:-1] * 5_000 + b";"
    frame = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    yield "gif-small-frames", data[:6] + b"\x30\x02\x30\x02" + data[10:start] + frame * 300 + b";"
    yield "gif-empty-frames", data[:start] + frame * 400_000 + b";"
    yield "gif-extensions", data[:start] + b"!\xfe\1x\0" * 800_000 + data[start:]
    yield "gif-blocks", data[:start] + b"!\xfe" + b"\1x" * (2 * _MEBIBYTE) + b"\0" + data[start:]
    moving = bytearray(pictures.make_animation("GIF", 200))
    moving[6:10] = struct.pack("<HH", 700, 700)
    yield "gif-moving-canvas", bytes(moving)


def _tiff(entries: list[tuple[int, int, int, int]], more: bytes = b"", following: int = 0) -> bytes:
    """tag, type, count, value: of the first directory. following: where the next one is."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    return head + body + struct.pack("<I", following) + more


def _tiff_bombs() -> Iterator[tuple[str, bytes]]:
    grey = [(258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    small = [(256, 4, 1, 8), (257, 4, 1, 8), (273, 4, 1, 8), (278, 4, 1, 8), (279, 4, 1, 64)]
    yield "tiff-loop", _tiff(grey + small, bytes(64), following=8)
    yield "tiff-loop-of-two", _tiff(grey + small, _next_directory(), following=122)
    huge = [(256, 4, 1, 2**31 - 1), (257, 4, 1, 2**31 - 1), (273, 4, 1, 8), (279, 4, 1, 64)]
    yield "tiff-canvas", _tiff(grey + huge, bytes(64))
    allowed = [(256, 4, 1, 10_000), (257, 4, 1, 10_000), (278, 4, 1, 10_000)]
    yield "tiff-one-strip", _tiff([*grey, *allowed, (273, 4, 1, 8), (279, 4, 1, 64)], bytes(64))
    tiles = [(256, 4, 1, 64), (257, 4, 1, 64), (322, 4, 1, 65_520), (323, 4, 1, 65_520)]
    yield "tiff-tile", _tiff([*grey, *tiles, (324, 4, 1, 8), (325, 4, 1, 64)], bytes(64))
    yield (
        "tiff-strips",
        _tiff(
            [*grey, *small[:2], (273, 4, 2**30, 8), (278, 4, 1, 1), (279, 4, 2**30, 64)], bytes(64)
        ),
    )
    yield "tiff-bands", _tiff([*grey[:3], (277, 3, 1, 65_535), *small], bytes(64))
    yield "tiff-depth", _tiff([(258, 3, 1, 65_535), *grey[1:], *small], bytes(64))
    yield (
        "tiff-counts",
        _tiff(
            [*grey, *small, *((tag, 2, 2**31 - 1, 8) for tag in range(34_000, 34_100))], bytes(64)
        ),
    )
    packed = zlib.compress(bytes(100_000_000), 9)
    strip = [(273, 4, 1, 130), (279, 4, 1, len(packed)), *grey[:1], (259, 3, 1, 8), *grey[2:]]
    yield "tiff-deflate", _tiff([*allowed, *strip], bytes(130 - 122) + packed)
    yield "tiff-profile", _tiff([*grey, *small, (34_675, 7, 2**31, 8)], bytes(64))
    pages = pictures.make_tiff(8, 8)
    yield "tiff-directories", _chained_directories(pages, 20_000)


def _next_directory() -> bytes:
    """At 122, and back to the first one."""
    return struct.pack("<HHHIII", 1, 256, 4, 1, 8, 8)


def _chained_directories(start: bytes, count: int) -> bytes:
    """So many tiny pages, one after the other."""
    grey = [(256, 4, 1, 1), (257, 4, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, 1, 1)]  # fmt: skip
    body = struct.pack("<H", len(grey)) + b"".join(struct.pack("<HHII", *one) for one in grey)
    size = len(body) + 4
    links = (8 + size * number for number in range(1, count))
    pages = b"".join(body + struct.pack("<I", link) for link in links)
    return struct.pack("<2sHI", b"II", 42, 8) + pages + body + bytes(4)


def _riff_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _webp(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_bombs() -> Iterator[tuple[str, bytes]]:
    side = (16_384 - 1).to_bytes(3, "little")
    picture = pictures.encode(Image.new("RGB", (2, 2)), "WEBP", lossless=True)[12:]
    two = (1).to_bytes(3, "little")
    frame = _riff_chunk(b"ANMF", bytes(6) + two + two + b"\x0a\0\0\0" + picture)
    moving = _riff_chunk(b"ANIM", bytes(6))
    yield "webp-canvas", _webp(_riff_chunk(b"VP8X", b"\2\0\0\0" + side * 2), moving, frame)
    yield "webp-largest", _webp(_riff_chunk(b"VP8X", b"\2\0\0\0" + b"\xff" * 6), moving, frame * 3)
    near = (9_999 - 1).to_bytes(3, "little")
    yield "webp-canvas-allowed", _webp(_riff_chunk(b"VP8X", b"\2\0\0\0" + near * 2), moving, frame)
    little = (600 - 1).to_bytes(3, "little")
    yield (
        "webp-frames",
        _webp(_riff_chunk(b"VP8X", b"\2\0\0\0" + little * 2), moving, frame * 9_000),
    )
    yield (
        "webp-frames-allowed",
        _webp(_riff_chunk(b"VP8X", b"\2\0\0\0" + little * 2), moving, frame * 250),
    )
    still = bytearray(pictures.make_webp())
    still[26:30] = b"\xff\x3f\xff\x3f"
    yield "webp-lossy-size", bytes(still)
    lossless = bytearray(pictures.make_webp(lossless=True))
    lossless[21:25] = b"\xff\xff\xff\x0f"
    yield "webp-lossless-size", bytes(lossless)
    unknown = _riff_chunk(b"JUNK", b"")
    head = _riff_chunk(b"VP8X", bytes(4) + two * 2)
    yield "webp-chunks", _webp(head, unknown * 400_000, picture)
    yield (
        "webp-profile",
        _webp(
            _riff_chunk(b"VP8X", b"\x20\0\0\0" + two * 2),
            _riff_chunk(b"ICCP", bytes(20 * _MEBIBYTE)),
            picture,
        ),
    )


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def _box_bombs() -> Iterator[tuple[str, bytes]]:
    for name, data in (("avif", pictures.make_avif()), ("heic", foreign.make_heic())):
        for side in (0, 9_999, 17_000, 65_535, 2**31 - 1):
            yield f"{name}-size-{side}", _with_ispe(data, side)
        meta = data.index(b"meta") - 4
        yield f"{name}-boxes", data[:meta] + _box(b"free", b"") * 300_000 + data[meta:]
        nested = b""
        for _ in range(2_000):
            nested = _box(b"ipco", nested)
        yield f"{name}-nested", data[:meta] + _box(b"meta", bytes(4) + nested) + data[meta:]
        yield f"{name}-long-box", data[:meta] + struct.pack(">I4sQ", 1, b"meta", 2**63 - 1)
        yield f"{name}-endless-meta", data[:meta] + b"\0\0\0\0" + data[meta + 4 :]
    yield "heic-grid", _grid_heic()
    for name, data in (("jp2", foreign.make_jp2()), ("jp2-bare", foreign.make_jp2(no_jp2=True))):
        at = data.index(b"\xff\x4f\xff\x51") + 8
        yield f"{name}-canvas", data[:at] + struct.pack(">II", 9_999, 9_999) + data[at + 8 :]
        yield f"{name}-largest", data[:at] + b"\xff" * 8 + data[at + 8 :]
        tiles = data[: at + 16] + struct.pack(">II", 1, 1) + data[at + 24 :]
        yield f"{name}-tiles", tiles
        large = data[:at] + struct.pack(">4I", 9_999, 9_999, 0, 0) + struct.pack(">II", 1, 1)
        yield f"{name}-large-tiles", large + data[at + 24 :]
    jxl = foreign.make_jxl()
    yield "jxl-largest", jxl[:2] + b"\xff" * 12 + jxl[14:]
    yield "jxl-brotli", _brotli_jxl()


def _with_ispe(data: bytes, side: int) -> bytes:
    changed, at = bytearray(data), 0
    while (at := data.find(b"ispe", at + 1)) > 0:
        changed[at + 8 : at + 16] = struct.pack(">II", side, side)
    return bytes(changed)


def _grid_heic() -> bytes:
    """A picture that says to be a grid of 256 by 256 others."""
    data = foreign.make_heic()
    return data.replace(b"hvc1\0", b"grid\0")


def _brotli_jxl() -> bytes:
    """Metadata that is said to be packed, and is none."""
    data = foreign.ORIENTED_JXL
    at = data.index(b"brob") - 4
    return data[:at] + _box(b"brob", b"Exif" + b"\xff" * (2 * _MEBIBYTE)) + data[at:]


def _other_bombs() -> Iterator[tuple[str, bytes]]:
    bmp = bytearray(foreign.make_bmp())
    bmp[18:26] = struct.pack("<ii", 9_999, 9_999)
    yield "bmp-canvas", bytes(bmp)
    packed = bytearray(foreign.make_bmp_rle())
    packed[18:26] = struct.pack("<ii", 9_999, 9_999)
    yield "bmp-packed-canvas", bytes(packed)
    bmp[18:26] = struct.pack("<ii", 2**31 - 1, -(2**31))
    yield "bmp-largest", bytes(bmp)
    entry = b"\0\0\0\0\1\0\x20\0\xff\xff\xff\x7f\x16\0\0\0"
    yield "ico-entries", b"\0\0\1\0\xff\xff" + entry * 65_535
    yield "ico-bomb-inside", _ico_of(pictures.make_bomb_png(30_000, 30_000))
    yield (
        "ico-text-inside",
        _ico_of(
            _with_chunks(png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(60 * _MEBIBYTE), 9)))
        ),
    )
    icns = b"ic10" + struct.pack(">I", 8 + 100) + pictures.make_bomb_png(30_000, 30_000)[:100]
    yield "icns-bomb-inside", b"icns" + struct.pack(">I", 8 + len(icns)) + icns
    entry = b"xxxx" + struct.pack(">I", 8)
    yield "icns-entries", b"icns" + struct.pack(">I", 8 + len(entry) * 300_000) + entry * 300_000
    yield "icns-no-length", b"icns" + struct.pack(">I", 24) + b"ic10\0\0\0\0" + bytes(8)
    dds = bytearray(foreign.make_dds())
    dds[12:20] = struct.pack("<II", 9_999, 9_999)
    yield "dds-canvas", bytes(dds)
    pcx = bytearray(foreign.make_pcx())
    pcx[4:12] = struct.pack("<4H", 0, 0, 9_998, 9_998)
    yield "pcx-canvas", bytes(pcx)
    yield "ppm-canvas", b"P6 9999 9999 255 " + bytes(100)
    yield "ppm-text-canvas", b"P3 9999 9999 65535 " + b"1 " * _MEBIBYTE
    yield "ppm-digits", b"P2 " + b"9" * (2 * _MEBIBYTE)
    yield "ppm-comments", b"P5 " + b"#\n" * (2 * _MEBIBYTE) + b"1 1 255 x"
    yield "ppm-no-maximum", b"P5 9 9 0 " + bytes(81)
    yield "qoi-canvas", b"qoif" + struct.pack(">IIBB", 9_999, 9_999, 4, 0) + b"\xfd" * 100
    yield "qoi-runs", b"qoif" + struct.pack(">IIBB", 9_999, 9_999, 4, 0) + b"\xfd" * 1_650_000
    planes = [bytes(4)] * 4
    psd = bytearray(foreign.make_psd(planes, 2, 2))
    psd[14:22] = struct.pack(">II", 9_999, 9_999)
    yield "psd-canvas", bytes(psd)
    psd[12:14] = struct.pack(">H", 56)
    yield "psd-channels", bytes(psd)
    resources = [(1000 + number % 30, b"") for number in range(200_000)]
    yield "psd-resources", foreign.make_psd(planes, 2, 2, resources=resources)


def _ico_of(png: bytes) -> bytes:
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(png), 22)
    return b"\0\0\1\0\1\0" + entry + png
