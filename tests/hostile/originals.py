"""Pictures to be damaged, made in code: every format that is read, in its various kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import pyvips
from PIL import Image, ImageDraw

from tests import foreign, pictures

_WIDTH, _HEIGHT = 97, 61
"""No multiple of any block: the last ones are cut."""


def make_originals() -> dict[str, bytes]:
    """By name, which begins with the format; sound, all of them."""
    return {name: make() for name, make in _MAKERS.items()}


def make_good() -> list[bytes]:
    """Such as anybody sends. They stand among the damaged ones, and must come out right."""
    names = ("jpeg-camera", "png", "webp", "gif-moving", "tiff-lzw", "avif", "bmp", "heic")
    return [_MAKERS[name]() for name in names]


def _scene(mode: str = "RGB") -> Image.Image:
    """Gradients and edges, so that there is something in every block."""
    picture = Image.linear_gradient("L").resize((_WIDTH, _HEIGHT))
    other = Image.radial_gradient("L").resize((_WIDTH, _HEIGHT))
    scene = Image.merge("RGB", (picture, other, picture.transpose(Image.Transpose.ROTATE_180)))
    ImageDraw.Draw(scene).ellipse((20, 10, 70, 50), outline="white", fill="navy")
    if mode in {"RGBA", "LA"}:
        scene = scene.convert(mode)
        scene.putalpha(other)
    return scene.convert(mode)


def _save(format_: str, mode: str = "RGB", **options: Any) -> Callable[[], bytes]:
    return lambda: pictures.encode(_scene(mode), format_, **options)


def _moving(format_: str, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        first, *others = [_scene().rotate(turn) for turn in (0, 30, 60, 90)]
        moving = {"save_all": True, "append_images": others, "duration": 70}
        return pictures.encode(first, format_, **moving | options)

    return make


def _camera(format_: str, **options: Any) -> Callable[[], bytes]:
    """With a profile, EXIF and XMP."""

    def make() -> bytes:
        exif = Image.Exif()
        exif.update({pictures.EXIF_ORIENTATION_TAG: 6, 0x010F: "maker", 0x8298: "somebody"})
        extra = {"icc_profile": pictures.make_p3_profile(), "exif": exif, "xmp": _XMP}
        return pictures.encode(_scene(), format_, **extra | options)

    return make


def _psd(*, packed: bool, mode: str = "RGB", kind: int = foreign.PSD_RGB) -> Callable[[], bytes]:
    def make() -> bytes:
        planes = foreign.psd_planes(_scene(mode))
        resources = ((1039, pictures.make_p3_profile()),)
        return foreign.make_psd(
            planes, _WIDTH, _HEIGHT, kind, packed=packed, resources=resources, layers=-1
        )

    return make


def _vips(suffix: str, **options: Any) -> Callable[[], bytes]:
    """What Pillow does not write."""

    def make() -> bytes:
        image = pyvips.Image.new_from_memory(_scene().tobytes(), _WIDTH, _HEIGHT, 3, "uchar")
        return bytes(image.copy(interpretation="srgb").write_to_buffer(suffix, **options))

    return make


def _pages() -> bytes:
    buffer = BytesIO()
    _scene().save(
        buffer, "TIFF", save_all=True, append_images=[_scene("L"), _scene("RGBA")],
        compression="tiff_deflate",
    )  # fmt: skip
    return buffer.getvalue()


_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" '
    b'dc:rights="somebody"/></x:xmpmeta>'
)

_MAKERS: Mapping[str, Callable[[], bytes]] = {
    "jpeg": _save("JPEG"),
    "jpeg-camera": _camera("JPEG", subsampling=2),
    "jpeg-progressive": _save("JPEG", progressive=True),
    "jpeg-restarts": _save("JPEG", restart_marker_blocks=2),
    "jpeg-grey": _save("JPEG", "L"),
    "jpeg-cmyk": _save("JPEG", "CMYK"),
    "jpeg-gain-map": pictures.make_gain_map_jpeg,
    "png": _save("PNG"),
    "png-camera": _camera("PNG"),
    "png-alpha": _save("PNG", "RGBA"),
    "png-palette": _save("PNG", "P"),
    "png-deep": lambda: pictures.make_deep_png((1000, 30000, 60000), _WIDTH, _HEIGHT),
    "png-interlaced": _vips(".png", interlace=True),
    "png-moving": _moving("PNG"),
    "webp": _save("WEBP"),
    "webp-camera": _camera("WEBP"),
    "webp-alpha": _save("WEBP", "RGBA"),
    "webp-lossless": _save("WEBP", "RGBA", lossless=True),
    "webp-moving": _moving("WEBP"),
    "gif": _save("GIF", "P"),
    "gif-moving": _moving("GIF"),
    "gif-disposing": lambda: pictures.make_disposing_gif(
        [
            pictures.GifFrame((0, 0, 32, 24), 1, 1),
            pictures.GifFrame((4, 4, 20, 20), 2, 3),
            pictures.GifFrame((8, 0, 32, 9), 3, 2),
        ]
    ),
    "tiff": _save("TIFF"),
    "tiff-lzw": _save("TIFF", compression="tiff_lzw"),
    "tiff-jpeg": _save("TIFF", compression="jpeg"),
    "tiff-packed": _save("TIFF", "L", compression="packbits"),
    "tiff-fax": _save("TIFF", "1", compression="group4"),
    "tiff-tiled": _vips(".tif", tile=True, tile_width=32, tile_height=32, compression="deflate"),
    "tiff-big": _save("TIFF", "RGBA", big_tiff=True),
    "tiff-ink": _save("TIFF", "CMYK", compression="tiff_adobe_deflate"),
    "tiff-pages": _pages,
    "avif": _save("AVIF"),
    "avif-alpha": _save("AVIF", "RGBA"),
    "avif-moving": _moving("AVIF"),
    "heic": lambda: foreign.make_heic(_WIDTH, _HEIGHT),
    "heic-alpha": lambda: foreign.make_heic(_WIDTH, _HEIGHT, "RGBA"),
    "heic-turned": lambda: foreign.make_oriented_heic(6, _WIDTH, _HEIGHT),
    "heic-deep": lambda: foreign.make_deep_heic((1000, 30000, 60000), _WIDTH, _HEIGHT),
    "jxl": _save("JXL"),
    "jxl-alpha": _save("JXL", "RGBA", lossless=True),
    "jxl-oriented": lambda: foreign.ORIENTED_JXL,
    "jxl-moving": lambda: foreign.ANIMATED_JXL,
    "jp2": _save("JPEG2000"),
    "jp2-tiled": _save("JPEG2000", tile_size=(32, 32), irreversible=True),
    "jp2-bare": _save("JPEG2000", no_jp2=True),
    "bmp": _save("BMP"),
    "bmp-palette": _save("BMP", "P"),
    "bmp-packed": foreign.make_bmp_rle,
    "bmp-alpha": lambda: foreign.make_bmp_with_alpha((10, 20, 30, 128), _WIDTH, _HEIGHT),
    "ico": lambda: foreign.make_ico(64, 64),
    "ico-bitmap": lambda: foreign.make_ico(64, 64, bitmap_format="bmp"),
    "icns": foreign.make_icns,
    "dds": _save("DDS", "RGBA"),
    "dds-packed": _save("DDS", "RGBA", pixel_format="DXT5"),
    "pcx": _save("PCX"),
    "pcx-palette": _save("PCX", "P"),
    "ppm": _save("PPM"),
    "ppm-grey": _save("PPM", "L"),
    "ppm-bits": _save("PPM", "1"),
    "ppm-text": foreign.make_plain_ppm,
    "qoi": _save("QOI", "RGBA"),
    "psd": _psd(packed=False),
    "psd-packed": _psd(packed=True),
    "psd-ink": _psd(packed=True, mode="CMYK", kind=foreign.PSD_CMYK),
}
