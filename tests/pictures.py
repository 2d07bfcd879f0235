"""Small images for tests, made in code: every maker returns the bytes of a file.

A plain picture is split in four: red, green, blue and white quarters, so that turns,
crops and colours can be told from any corner.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

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


def make_clear_palette_png(width: int = 64, height: int = 48) -> bytes:
    """Quarters, of which the palette says that red is transparent."""
    picture = Image.new("P", (width, height), 0)
    picture.putpalette([*RED, *GREEN, *BLUE, *WHITE])
    half_width, half_height = width // 2, height // 2
    picture.paste(1, (half_width, 0, width, half_height))
    picture.paste(2, (0, half_height, half_width, height))
    picture.paste(3, (half_width, half_height, width, height))
    return encode(picture, "PNG", transparency=0)


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


def make_deep_sprite_png(key: Colour | None = None, width: int = 64, height: int = 48) -> bytes:
    """16 bits a channel: full red on the left, nothing on the right, which is transparent by
    its alpha, or where `key` is given for being of that one colour.
    """
    half = width // 2
    if key is None:
        row = struct.pack(">4H", 65535, 0, 0, 65535) * half + bytes(8) * (width - half)
        return png_file(width, height, 16, 6, (b"\x00" + row) * height)
    clear = struct.pack(">3H", *key)
    row = struct.pack(">3H", 65535, 0, 0) * half + clear * (width - half)
    return png_file(width, height, 16, 2, (b"\x00" + row) * height, (b"tRNS", clear))


def make_deep_grey_png(value: int, alpha: int, profile: bytes) -> bytes:
    """16 bits of grey and as many of alpha, with a profile."""
    row = b"\x00" + struct.pack(">2H", value, alpha) * 64
    return png_file(64, 48, 16, 4, row * 48, (b"iCCP", b"grey\x00\x00" + zlib.compress(profile)))


def png_file(
    width: int, height: int, depth: int, colour_type: int, lines: bytes, *more: tuple[bytes, bytes]
) -> bytes:
    """A PNG by hand: `lines` are the filtered scanlines, before compression. more: chunks to
    stand before them.
    """
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), *more, (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
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


class GifFrame(NamedTuple):
    """A rectangle of one colour of the palette; colour 0 is transparent.

    disposal: 1 leaves it, 2 clears it, 3 brings back what was there before (GIF89a, 23).
    """

    box: tuple[int, int, int, int]
    colour: int
    disposal: int


def make_disposing_gif(frames: Sequence[GifFrame], width: int = 32, height: int = 24) -> bytes:
    """A GIF by hand, for writers choose boxes and disposals of their own. Red is colour 1,
    green 2, blue 3; every frame is shown for 100 ms.
    """
    palette = bytes((*WHITE, *RED, *GREEN, *BLUE)) + bytes(3 * 124)
    data = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF6, 0, 0) + palette
    for (left, top, right, bottom), colour, disposal in frames:
        size = (right - left, bottom - top)
        data += b"!\xf9\x04" + struct.pack("<BHBB", disposal << 2 | 1, 10, 0, 0)
        data += b"," + struct.pack("<4HB", left, top, *size, 0) + b"\x07"
        data += _gif_codes(bytes([colour]) * (size[0] * size[1]))
    return data + b";"


def _gif_codes(pixels: bytes) -> bytes:
    """LZW that never learns: a clear code comes before codes outgrow 8 bits."""
    runs = (pixels[at : at + 100] for at in range(0, len(pixels), 100))
    codes = b"".join(b"\x80" + run for run in runs) + b"\x81"
    blocks = (codes[at : at + 255] for at in range(0, len(codes), 255))
    return b"".join(bytes([len(block)]) + block for block in blocks) + b"\x00"


def make_twice_turned_avif(orientation: int, width: int = 64, height: int = 48) -> bytes:
    """The container turns what is stored, and EXIF tells the same turn again.

    Pillow moves the tag from EXIF to the container: one of the same length keeps its place.
    """
    exif = Image.Exif()
    exif[EXIF_ORIENTATION_TAG] = orientation
    exif[EXIF_ORIENTATION_TAG + 1] = orientation
    data = make_avif(width, height, exif=exif)
    told = struct.pack(">HH", EXIF_ORIENTATION_TAG + 1, 3)
    assert data.count(told) == 1
    return data.replace(told, struct.pack(">HH", EXIF_ORIENTATION_TAG, 3))


def make_bomb_avif(side: int = 17_000) -> bytes:
    """A size in the header that the pixels do not have."""
    data = bytearray(make_avif())
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", side, side)
    return bytes(data)


def make_gain_map_jpeg(width: int = 64, height: int = 48) -> bytes:
    """The picture, and behind it a second JPEG, dark grey, as UltraHDR has it: an index of both
    in a segment of their own (CIPA DC-007, 5), and XMP that tells what the second is for.
    """
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:hdrgm="urn:hdr" hdrgm:Version="1.0"/>'
    first, second = make_jpeg(width, height, xmp=xmp), make_grey_jpeg(30, width, height)
    size = 2 + 2 + 4 + 82
    index = struct.pack(">2sHI", b"MM", 42, 8) + struct.pack(">H", 3)
    index += struct.pack(">HHI4s", 0xB000, 7, 4, b"0100") + struct.pack(">HHII", 0xB001, 4, 1, 2)
    index += struct.pack(">HHII", 0xB002, 7, 32, 50) + bytes(4)
    index += struct.pack(">IIIHH", 0x20030000, len(first) + size, 0, 0, 0)
    index += struct.pack(">IIIHH", 0, len(second), len(first) + size - 10, 0, 0)
    return (
        first[:2]
        + b"\xff\xe2"
        + struct.pack(">H", size - 2)
        + b"MPF\x00"
        + index
        + first[2:]
        + second
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
    tags = {b"rXYZ": _xyz(red), b"gXYZ": _xyz(green), b"bXYZ": _xyz(blue)}
    curve = _profile_curve(gamma)
    return _profile(b"mntr", b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def make_prophoto_profile() -> bytes:
    """The primaries of ROMM RGB (ISO 22028-2) with its gamma."""
    return make_rgb_profile(
        red=(0.7977, 0.288, 0.0), green=(0.1352, 0.7119, 0.0), blue=(0.0313, 0.0001, 0.8249),
        gamma=1.8,
    )  # fmt: skip


def make_swapped_profile() -> bytes:
    """sRGB's primaries, of which the first is green, the second blue and the third red."""
    return make_rgb_profile(
        red=(0.3851, 0.7169, 0.0971), green=(0.1431, 0.0606, 0.7141), blue=(0.4361, 0.2225, 0.0139)
    )


def make_grey_profile(gamma: float = 2.2) -> bytes:
    return _profile(b"mntr", b"GRAY", {b"kTRC": _profile_curve(gamma)})


def make_ink_profile() -> bytes:
    """Of a press unlike any other: the first ink prints red, the second blue, the third and
    the fourth nothing. A table of 2 steps an ink, from inks to Lab (ICC.1:2001-04, 6.5.8).
    """
    paper, red, blue, both = (255, 128, 128), (138, 209, 198), (75, 196, 16), (0, 128, 128)
    colours = [(paper, blue), (red, both)]
    table = [colours[first][second] for first in (0, 1) for second in (0, 1) for _ in range(4)]
    ramp = bytes(range(256))
    unity = struct.pack(">9i", *(65536 * (place % 4 == 0) for place in range(9)))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + unity + 4 * ramp
    lut += bytes(value for colour in table for value in colour) + 3 * ramp
    return _profile(b"prtr", b"CMYK", {b"A2B0": lut}, b"Lab ")


def _profile(
    kind: bytes, space: bytes, tags: Mapping[bytes, bytes], meeting: bytes = b"XYZ "
) -> bytes:
    """tags: besides those that every profile has. meeting: the space it converts to."""
    tags = {
        b"desc": _profile_text(b"desc"),
        b"cprt": b"text\x00\x00\x00\x00none\x00\x00\x00\x00",
        b"wtpt": _xyz((0.9642, 1.0, 0.8249)),
        **tags,
    }
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = _profile_header(len(table) + len(body) + 128, kind + space + meeting)
    return header + table + body


def _profile_header(size_bytes: int, kinds: bytes) -> bytes:
    return (
        struct.pack(">I4sI12s", size_bytes, b"none", 0x02100000, kinds)
        + struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
        + b"acsp"
        + bytes(28)
        + _xyz((0.9642, 1.0, 0.8249))[8:]
        + bytes(48)
    )


def _profile_curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + b"\x00\x00"


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \x00\x00\x00\x00" + struct.pack(">3i", *(round(v * 65536) for v in values))


def _profile_text(kind: bytes) -> bytes:
    text = b"made for tests\x00"
    padded = struct.pack(">4sII", kind, 0, len(text)) + text + bytes(78)
    return padded + bytes(-len(padded) % 4)
