"""Pictures as large as the limits allow, written straight to files: little of them is ever in
memory here, however much it takes to read them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyvips
from PIL import Image

from tests import foreign

LARGEST_SIDE = 10_000
"""Of a square of 100 megapixels, which is what `limits.max_pixels` allows."""


def make_heavy(folder: Path, side: int, names: tuple[str, ...] = ()) -> dict[str, Path]:
    """Squares of that many pixels a side, by name; all kinds, or those named."""
    paths = {}
    for name in names or tuple(_WRITERS):
        paths[name] = folder / name
        _WRITERS[name](paths[name], side)
    return paths


def _scene(side: int, bands: int = 3, *, wide: bool = False) -> pyvips.Image:
    """Waves of a colour in each band: they pack well, and no block is like another."""
    waves = pyvips.Image.sines(side, side, hfreq=7, vfreq=5)
    wash = pyvips.Image.grey(side, side)
    colours = [waves * 40 + 128, wash * 255, 255 - wash * 200, wash * 100 + 155][:bands]
    scene = colours[0].bandjoin(colours[1:]).cast("uchar")
    if wide:
        return (scene.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    return scene.copy(interpretation="srgb")


def _vips(
    suffix: str, bands: int = 3, *, wide: bool = False, **options: Any
) -> Callable[[Path, int], None]:
    def write(path: Path, side: int) -> None:
        target = pyvips.Target.new_to_file(str(path))
        _scene(side, bands, wide=wide).write_to_target(target, suffix, **options)

    return write


def _pillow(format_: str, bands: int = 3, **options: Any) -> Callable[[Path, int], None]:
    """The whole picture is in memory meanwhile."""

    def write(path: Path, side: int) -> None:
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[bands]
        data = _scene(side, bands).write_to_memory()
        with path.open("wb") as file:
            Image.frombytes(mode, (side, side), data).save(file, format_, **options)

    return write


def _write_psd(path: Path, side: int) -> None:
    bands = [_scene(side)[band].write_to_memory() for band in range(3)]
    path.write_bytes(foreign.make_psd(bands, side, side))


_WRITERS: Mapping[str, Callable[[Path, int], None]] = {
    "jpeg": _vips(".jpg"),
    "jpeg-progressive": _vips(".jpg", interlace=True, subsample_mode="off"),
    "png": _vips(".png", compression=1, filter="sub"),
    "png-deep": _vips(".png", wide=True, compression=1, filter="sub"),
    "png-interlaced": _vips(".png", interlace=True, compression=1, filter="sub"),
    "png-interlaced-alpha": _vips(".png", 4, interlace=True, compression=1, filter="sub"),
    "webp": _vips(".webp", effort=0),
    "webp-alpha": _vips(".webp", 4, effort=0),
    "webp-lossless": _vips(".webp", lossless=True, effort=0),
    "tiff-tiled": _vips(".tif", tile=True, tile_width=512, tile_height=512, compression="deflate"),
    "tiff-deep": _vips(".tif", wide=True, compression="deflate"),
    "gif": _vips(".gif", effort=1),
    "tiff-one-strip": _pillow("TIFF", compression="tiff_deflate", strip_size=1 << 30),
    "bmp": _pillow("BMP"),
    "ppm": _pillow("PPM"),
    "qoi": _pillow("QOI"),
    "psd": _write_psd,
    "avif": _vips(".avif", effort=0),
    "heic": _pillow("HEIF", quality=50),
    "jxl": _pillow("JXL", effort=1),
    "jp2": _pillow("JPEG2000", quality_mode="rates", quality_layers=[20]),
}
