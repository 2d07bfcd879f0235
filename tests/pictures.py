"""Small images for tests, made in code: every maker returns the bytes of a file.

A plain picture is split in four: red, green, blue and white quarters, so that turns,
crops and colours can be told from any corner.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw

RED = (255, 0, 0)
GREEN = (0, 128, 0)
BLUE = (0, 0, 255)
WHITE = (255, 255, 255)

EXIF_ORIENTATION_TAG = 274

Colour = tuple[int, ...]


def quarters(width: int, height: int) -> Image.Image:
    """Red upper left, green upper right, blue lower left, white lower right."""
    picture = Image.new("RGB", (width, height), RED)
    middle_x, middle_y = width // 2, height // 2
    picture.paste(GREEN, (middle_x, 0, width, middle_y))
    picture.paste(BLUE, (0, middle_y, middle_x, height))
    picture.paste(WHITE, (middle_x, middle_y, width, height))
    return picture


def encode(picture: Image.Image, format_: str, **options: Any) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format_, **options)
    return buffer.getvalue()


def make_jpeg(width: int = 64, height: int = 48, **options: Any) -> bytes:
    """Baseline, 4:4:4 so that small pictures keep their colours."""
    return encode(quarters(width, height), "JPEG", **{"quality": 95, "subsampling": 0} | options)


def make_progressive_jpeg(width: int = 64, height: int = 48) -> bytes:
    return make_jpeg(width, height, progressive=True)


def make_oriented_jpeg(orientation: int, width: int = 64, height: int = 48) -> bytes:
    """Stored so that it shows quarters(width, height) once the EXIF orientation is applied."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    picture = quarters(width, height)
    if orientation in undo:
        picture = picture.transpose(undo[orientation])
    exif = Image.Exif()
    exif[EXIF_ORIENTATION_TAG] = orientation
    return encode(picture, "JPEG", quality=95, subsampling=0, exif=exif)


def make_cmyk_jpeg(ink: Colour = (0, 255, 255, 0), width: int = 64, height: int = 48) -> bytes:
    """One ink mix all over, no profile. The default is magenta and yellow: red."""
    return encode(Image.new("CMYK", (width, height), ink), "JPEG", quality=95)


def make_grey_jpeg(value: int = 100, width: int = 64, height: int = 48) -> bytes:
    return encode(Image.new("L", (width, height), value), "JPEG", quality=95)


def make_png(width: int = 64, height: int = 48, **options: Any) -> bytes:
    return encode(quarters(width, height), "PNG", **options)


def make_plain_png(colour: Colour, width: int = 64, height: int = 48, **options: Any) -> bytes:
    """One colour all over: 1 value makes it grey, 2 grey with alpha, 3 RGB, 4 RGBA."""
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[len(colour)]
    value = colour[0] if len(colour) == 1 else colour
    return encode(Image.new(mode, (width, height), value), "PNG", **options)


def make_palette_png(width: int = 64, height: int = 48) -> bytes:
    return encode(quarters(width, height).quantize(4), "PNG")


def make_sprite_png(width: int = 64, height: int = 48) -> bytes:
    """An opaque red left half beside a right half of transparent black."""
    picture = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, width // 2, height))
    return encode(picture, "PNG")


def make_stripes_png(width: int = 128, height: int = 128) -> bytes:
    """Black and white lines in turn: as much light as linear half, which is coded as 188."""
    picture = Image.new("RGB", (width, height), WHITE)
    draw = ImageDraw.Draw(picture)
    for row in range(0, height, 2):
        draw.line((0, row, width, row), fill=(0, 0, 0))
    return encode(picture, "PNG")


def make_deep_png(colour: Colour, width: int = 16, height: int = 12) -> bytes:
    """16 bits a channel; `colour` has 1 to 4 values of 0..65535."""
    row = b"\x00" + struct.pack(f">{len(colour)}H", *colour) * width
    return png_file(width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[len(colour)], row * height)


def make_bomb_png(width: int = 65536, height: int = 65536) -> bytes:
    """A header of 4 gigapixels and hardly any data."""
    return png_file(width, height, 1, 0, b"\x00" * 64)


def png_file(width: int, height: int, depth: int, colour_type: int, lines: bytes) -> bytes:
    """A PNG by hand: `lines` are the filtered scanlines, before compression."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def make_webp(width: int = 64, height: int = 48, **options: Any) -> bytes:
    return encode(quarters(width, height), "WEBP", **{"quality": 95} | options)


def make_gif(width: int = 64, height: int = 48) -> bytes:
    return encode(quarters(width, height), "GIF")


def make_tiff(width: int = 64, height: int = 48, **options: Any) -> bytes:
    return encode(quarters(width, height), "TIFF", **options)


def make_avif(width: int = 64, height: int = 48, **options: Any) -> bytes:
    return encode(quarters(width, height), "AVIF", **{"quality": 95} | options)


def make_animation(
    format_: str = "GIF", frames: int = 3, width: int = 32, height: int = 24, frame_ms: int = 100
) -> bytes:
    """Every frame another grey, so that no encoder joins two of them."""
    pictures = [
        Image.new("RGB", (width, height), (number * 7 % 256,) * 3) for number in range(frames)
    ]
    return encode(
        pictures[0], format_, save_all=True, append_images=pictures[1:], duration=frame_ms, loop=0
    )


def make_svg() -> bytes:
    return b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9"/></svg>'


def cut(data: bytes, share: float = 0.5) -> bytes:
    """The first part of a file, as of a broken transfer."""
    return data[: int(len(data) * share)]


def make_p3_profile() -> bytes:
    """A Display P3 profile of our own: its primaries (adapted to D50) with gamma 2.2."""
    return make_rgb_profile(
        red=(0.5151, 0.2412, -0.0011), green=(0.2919, 0.6922, 0.0419), blue=(0.1572, 0.0666, 0.7841)
    )


def make_rgb_profile(
    red: tuple[float, float, float],
    green: tuple[float, float, float],
    blue: tuple[float, float, float],
    gamma: float = 2.2,
) -> bytes:
    """A display profile of three primaries in XYZ under D50 (ICC.1:2001-04, version 2)."""
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + b"\x00\x00"
    tags = {
        b"desc": _profile_text(b"desc"),
        b"cprt": b"text\x00\x00\x00\x00none\x00\x00\x00\x00",
        b"wtpt": _xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": _xyz(red),
        b"gXYZ": _xyz(green),
        b"bXYZ": _xyz(blue),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, at + len(body), len(data))
        body += data
    return _profile_header(len(table) + len(body) + 128) + table + body


def _profile_header(size_bytes: int) -> bytes:
    return (
        struct.pack(">I4sI4s4s4s", size_bytes, b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
        + struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
        + b"acsp"
        + bytes(28)
        + _xyz((0.9642, 1.0, 0.8249))[8:]
        + bytes(48)
    )


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \x00\x00\x00\x00" + struct.pack(">3i", *(round(v * 65536) for v in values))


def _profile_text(kind: bytes) -> bytes:
    text = b"made for tests\x00"
    padded = struct.pack(">4sII", kind, 0, len(text)) + text + bytes(78)
    return padded + bytes(-len(padded) % 4)
