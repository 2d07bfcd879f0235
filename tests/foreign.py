"""Files in formats that libvips does not read, made in code."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pillow_heif
import pillow_jxl  # noqa: F401 - teaches Pillow to write JPEG XL
from PIL import Image

from tests.pictures import EXIF_ORIENTATION_TAG, Colour, encode, quarters

pillow_heif.register_heif_opener()

PSD_BITMAP, PSD_GREY, PSD_INDEXED, PSD_RGB, PSD_CMYK, PSD_LAB = 0, 1, 2, 3, 4, 9


def make_bmp(width: int = 64, height: int = 48, mode: str = "RGB") -> bytes:
    return encode(quarters(width, height).convert(mode), "BMP")


def make_bmp_rle(width: int = 64, height: int = 48) -> bytes:
    """Eight bits, packed: every line is two runs of one colour each."""
    half = width // 2
    low = bytes((half, 2, half, 3, 0, 0)) * (height // 2)  # lines go from the bottom up
    high = bytes((half, 0, half, 1, 0, 0)) * (height // 2)
    data = low + high + b"\x00\x01"
    palette = b"\x00\x00\xff\x00\x00\x80\x00\x00\xff\x00\x00\x00\xff\xff\xff\x00"
    sizes = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 4, 0)
    start = 14 + len(sizes) + len(palette)
    return struct.pack("<2sIII", b"BM", start + len(data), 0, start) + sizes + palette + data


def make_bmp_with_alpha(colour: Colour, width: int = 64, height: int = 48) -> bytes:
    """Four bytes a pixel, with masks that name the fourth."""
    red, green, blue, alpha = colour
    data = bytes((blue, green, red, alpha)) * width * height
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    sizes = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(data), 0, 0, 0, 0)
    header = sizes + masks + bytes(108 - len(sizes) - len(masks))
    start = 14 + len(header)
    return struct.pack("<2sIII", b"BM", start + len(data), 0, start) + header + data


def make_ico(width: int = 64, height: int = 48, **options: Any) -> bytes:
    """Three sizes, the largest neither first nor last in the directory."""
    picture = quarters(width, height).convert("RGBA")
    small = [picture.resize((width // 4, height // 4)), picture.resize((width // 2, height // 2))]
    sizes = [one.size for one in (*small, picture)]
    return encode(picture, "ICO", sizes=sizes, append_images=small, **options)


def make_icns() -> bytes:
    """Up to 1024 pixels a side."""
    return encode(quarters(64, 64).convert("RGBA"), "ICNS")


def make_jp2(width: int = 64, height: int = 48, mode: str = "RGB", **options: Any) -> bytes:
    return encode(quarters(width, height).convert(mode), "JPEG2000", **options)


def add_jp2_profile(data: bytes, profile: bytes) -> bytes:
    """The file with an ICC profile in place of the name of its colour space."""
    at = data.index(b"colr") - 4
    (length,) = struct.unpack(">I", data[at : at + 4])
    box = struct.pack(">I4s", 11 + len(profile), b"colr") + b"\x02\x00\x00" + profile
    header_at = data.index(b"jp2h") - 4
    (header_length,) = struct.unpack(">I", data[header_at : header_at + 4])
    grown = struct.pack(">I", header_length + len(box) - length)
    return data[:header_at] + grown + data[header_at + 4 : at] + box + data[at + length :]


def make_pcx(width: int = 64, height: int = 48, mode: str = "RGB") -> bytes:
    return encode(quarters(width, height).convert(mode), "PCX")


def make_ppm(width: int = 64, height: int = 48, mode: str = "RGB") -> bytes:
    return encode(quarters(width, height).convert(mode), "PPM")


def make_plain_ppm() -> bytes:
    """Text, with a comment, in 4 bits a sample."""
    return b"P3\n# by hand\n2 1\n15\n15 0 0   0 0 15\n"


def make_qoi(width: int = 64, height: int = 48, mode: str = "RGB") -> bytes:
    return encode(quarters(width, height).convert(mode), "QOI")


def make_dds(width: int = 64, height: int = 48, **options: Any) -> bytes:
    return encode(quarters(width, height).convert("RGBA"), "DDS", **options)


def make_heic(width: int = 64, height: int = 48, mode: str = "RGB", **options: Any) -> bytes:
    picture = quarters(width, height).convert(mode)
    return encode(picture, "HEIF", **{"quality": 95, "chroma": 444} | options)


def make_oriented_heic(orientation: int, width: int = 64, height: int = 48) -> bytes:
    """The container turns it, and EXIF says the same once more."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION_TAG] = orientation
    return make_heic(width, height, exif=exif.tobytes())


def make_deep_heic(colour: Sequence[int], width: int = 64, height: int = 48) -> bytes:
    """10 bits a sample. colour: three values of up to 65535."""
    data = struct.pack("<3H", *colour) * width * height
    picture = pillow_heif.from_bytes("RGB;16", (width, height), data)
    buffer = BytesIO()
    picture.save(buffer, quality=95, chroma=444)
    return buffer.getvalue()


def make_jxl(width: int = 64, height: int = 48, mode: str = "RGB", **options: Any) -> bytes:
    picture = quarters(width, height).convert(mode)
    return encode(picture, "JXL", **{"quality": 95} | options)


ORIENTED_JXL = bytes.fromhex(
    "0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20000000136a786c7000000000ff0a"
    "0f8a056202000001e36a627264c070db008220082d0302402200a1468190ab4a000040c851d982a138ff27888c11"
    "ca38a714b41f214398a50e32cc40e90e35581f329c7ccc80430e2a2c72d0b003db470dfdfb23cb1c76dc8186a2fb"
    "5f8c71c624976cf2c928a73c33cd35db7c33ce390b3d34d1451b7d34d2494b3d35d5555b7d35d6598b3d36d9659b"
    "7d36da69cb3d37dd75db7d37de790b3e38e1851b7e38e289472ef9e494576ef9e598671ebae8a3935ebae9a7a39e"
    "7aecb2cf4e7bedb6df8e7beec10b3f3cf1c51b7f3cf2c9472ffdf4d4576ffdf5d8670f7ef8e28f4f7ef9e69f8f7e"
    "faf0c72ffffcf4d76ffffdf8e7ffaf60aaaa040040c851d982a138ff2f8884524659a71489f18090cda841864975"
    "a0a17ab0e1dc438e1950900f1a72d06107361659e6a8dfedc38e1b5ad11f7966f04986f7bf18e38c4b36f9649453"
    "a6b9669b6fc63967a18726ba68a38f463a69a9a7a6ba6aabafc63a6bb1c726bb6cb3cf463b6db9e7a6bb6ebbefc6"
    "3befc0051f9cf0c20d3f1cf1c423977c72ca2bb7fc72cc330f5df4d1492fddf4d3514f3d76d967a7bd76db6fc73d"
    "f7e0851f9ef8e28d3f1ef9e4a3977e7aeaabb7fe7aecb30f5ffcf1c92fdffcf3d14f3f7ef9e7a7bf7efbefc73fff"
    "7f811f00a82c000b0880e000104a46494600010100000100010000030000002762726f62457869661b1d00000471"
    "633b82982dd1d42d592c8a34e0df6124ab28800d00000000fe6a786c7080000001e05b001000ac03086008600860"
    "feff0e803012000085c6c66e000000050000f0030000000000000010b02451641c3b21cd1d06a024292828b00891"
    "91315231188c6c646c64a54a625b3192220e280ed131468539795100f86b380d54e21206cb60c8c5568b9fef58aa"
    "7edbcc16aa3cf34af0f361518a25461eead184e0a35ae007bc7ee10dc20355be19340d19af10dd62b64ed9a1606f"
    "d1be04efadc94b658f4753616bf68f2a80afcacf86a356969c6a972750b3f10e00c0048013408c666700c0656ee3"
    "01c097be384d558e7788f7319babd7a1f44417401c1a90bab60c3cfadf474c660290112c280000000000809204"
)
"""A JPEG of 64 by 48 pixels with EXIF orientation 6, taken over as it is: boxes, compressed
metadata, and what is needed to make the same JPEG again. By libjxl."""

ANIMATED_JXL = bytes.fromhex(
    "ff0a5830c100028a4b020802920900005c004b188b1500d48c3118c70b4400b04824dbe20f40d88f060802920900"
    "0044004b188b15805dd4ff02110010b7339df803080292050058004b188b1500d4176330ee2e1001405198150000"
    "01c01f"
)
"""Three frames, by cjxl 0.7."""


def make_psd(
    planes: Sequence[bytes],
    width: int,
    height: int,
    mode: int = PSD_RGB,
    *,
    depth: int = 8,
    packed: bool = False,
    large: bool = False,
    palette: bytes = b"",
    resources: Sequence[tuple[int, bytes]] = (),
    layers: int = 0,
) -> bytes:
    """A file of a header, resources, no real layers, and a flat picture.

    layers: what is told of their number; negative says that the fourth plane is transparency.
    """
    version = 2 if large else 1
    header = struct.pack(">4sH6xHIIHH", b"8BPS", version, len(planes), height, width, depth, mode)
    blocks = b"".join(_psd_resource(number, data) for number, data in resources)
    long = ">Q" if large else ">I"
    info = struct.pack(long, 2) + struct.pack(">h", layers) if layers else b""
    return b"".join(
        (
            header,
            struct.pack(">I", len(palette)) + palette,
            struct.pack(">I", len(blocks)) + blocks,
            struct.pack(long, len(info)) + info,
            _psd_pixels(planes, height, ">I" if large else ">H", packed=packed),
        )
    )


def psd_planes(picture: Image.Image, *, inverted: bool = False) -> list[bytes]:
    mask = 255 if inverted else 0
    return [bytes(value ^ mask for value in band.tobytes()) for band in picture.split()]


def _psd_resource(number: int, data: bytes) -> bytes:
    return struct.pack(">4sH2xI", b"8BIM", number, len(data)) + data + b"\0" * (len(data) % 2)


def _psd_pixels(planes: Sequence[bytes], height: int, count: str, *, packed: bool) -> bytes:
    if not packed:
        return b"\x00\x00" + b"".join(planes)
    lines = [_pack_line(line) for plane in planes for line in _lines(plane, height)]
    counts = b"".join(struct.pack(count, len(line)) for line in lines)
    return b"\x00\x01" + counts + b"".join(lines)


def _lines(plane: bytes, height: int) -> list[bytes]:
    size = len(plane) // height
    return [plane[start : start + size] for start in range(0, len(plane), size)]


def _pack_line(line: bytes) -> bytes:
    """PackBits: runs where there are some, else single bytes."""
    packed = bytearray()
    at = 0
    while at < len(line):
        run = 1
        while run < 128 and line[at : at + run + 1] == line[at : at + 1] * (run + 1):
            run += 1
        packed += bytes((257 - run if run > 1 else 0, line[at]))
        at += run
    return bytes(packed)
