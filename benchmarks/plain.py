"""How one makes each variant with libvips alone: the call that its documentation suggests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BOX = 800
TEXT = "© somebody"
MARK_NAME, MARK_SHA256 = "mark.png", "0" * 64
CROP = {"left": 300, "top": 200, "width": 1600, "height": 1200}

Save = Callable[[Any, str], None]
Make = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Case:
    """fields: of the variant, without its name. make: from the file at the first path, one at
    the second. moves: the input is an animation.
    """

    name: str
    fields: dict[str, Any]
    make: Make
    extension: str = "webp"
    moves: bool = field(default=False)


def _vips() -> Any:
    import pyvips

    return pyvips.Image


def _thumbnail(path: str, **options: Any) -> Any:
    return _vips().thumbnail(path, BOX, **{"height": BOX, "size": "down", **options})


def _webp(image: Any, path: str) -> None:
    image.webpsave(path, Q=85, keep="none")


def _jpeg(image: Any, path: str) -> None:
    image.jpegsave(path, Q=85, optimize_coding=True, keep="none")


def _shrunk(change: Callable[[Any], Any], save: Save = _webp, **options: Any) -> Make:
    return lambda source, target: save(change(_thumbnail(source, **options)), target)


def _same(image: Any) -> Any:
    return image


def _pad(image: Any) -> Any:
    return image.gravity("centre", BOX, BOX, extend="background", background=[255, 255, 255])


def _crop(source: str, target: str) -> None:
    image = _vips().new_from_file(source, access="sequential")
    part = image.crop(CROP["left"], CROP["top"], CROP["width"], CROP["height"])
    _webp(part.thumbnail_image(BOX, height=BOX, size="down"), target)


def _trim(source: str, target: str) -> None:
    box = _vips().new_from_file(source, access="sequential").find_trim(line_art=True)
    image = _vips().new_from_file(source, access="sequential").crop(*box)
    _webp(image.thumbnail_image(BOX, height=BOX, size="down"), target)


def _whole(source: str, target: str) -> None:
    image = _vips().new_from_file(source, access="sequential")
    image.jpegsave(target, Q=50, optimize_coding=True, keep="none")


def _move(source: str, target: str) -> None:
    """Frame by frame: shrunk as one strip, each would bleed into the next."""
    strip = _vips().gifload(source, n=-1)
    height = strip.get("page-height")
    frames = [
        strip.crop(0, top, strip.width, height).thumbnail_image(200, height=200, size="down")
        for top in range(0, strip.height, height)
    ]
    joined = _vips().arrayjoin(frames, across=1).copy()
    joined.set_type(_gint_type(), "page-height", frames[0].height)
    joined.webpsave(target, Q=85, keep="none")


def _gint_type() -> Any:
    import pyvips

    return pyvips.GValue.gint_type


def _fit_bytes(source: str, target: str) -> None:
    """The same search that a person would write: halve the range of qualities."""
    image = _thumbnail(source).copy_memory()
    low, high = 0, 85
    best = image.jpegsave_buffer(Q=high, optimize_coding=True, keep="none")
    while high - low > 1:
        middle = (low + high) // 2
        data = image.jpegsave_buffer(Q=middle, optimize_coding=True, keep="none")
        if len(data) <= MAX_BYTES:
            best, low = data, middle
        else:
            high = middle
    with open(target, "wb") as file:  # noqa: PTH123 - as everybody writes it
        file.write(best)


def _over(image: Any, mark: Any) -> Any:
    """In the lower right corner, a quarter as wide as the picture, half transparent."""
    mark = mark.thumbnail_image(image.width // 4, size="both") * [1, 1, 1, 0.5]
    left, top = image.width - mark.width - 16, image.height - mark.height - 16
    return image.composite2(mark, "over", x=left, y=top)


def _lay_over(source: str, target: str) -> None:
    mark = _vips().new_from_file(str(Path(target).with_name(MARK_NAME)))
    _webp(_over(_thumbnail(source), mark), target)


def _write_over(source: str, target: str) -> None:
    ink = _vips().text(TEXT, font="sans bold", dpi=300)
    mark = ink.new_from_image([255, 255, 255]).bandjoin(ink).copy(interpretation="srgb")
    _webp(_over(_thumbnail(source), mark), target)


MAX_BYTES = 30_000
_FIT = {"width": BOX, "height": BOX}

CASES = (
    Case("fit, WebP", {**_FIT, "format": "webp"}, _shrunk(_same)),
    Case("fit, JPEG", {**_FIT, "format": "jpeg"}, _shrunk(_same, _jpeg), "jpg"),
    Case(
        "fit, progressive JPEG",
        {**_FIT, "format": "jpeg", "progressive": True},
        _shrunk(
            _same,
            lambda image, path: image.jpegsave(
                path, Q=85, optimize_coding=True, interlace=True, keep="none"
            ),
        ),
        "jpg",
    ),
    Case(
        "fit, PNG",
        {**_FIT, "format": "png"},
        _shrunk(
            _same,
            lambda image, path: image.pngsave(path, compression=4, filter="all", keep="none"),
        ),
        "png",
    ),
    Case(
        "fit, AVIF",
        {**_FIT, "format": "avif"},
        _shrunk(
            _same,
            lambda image, path: image.heifsave(
                path, Q=60, compression="av1", effort=2, bitdepth=8, keep="none"
            ),
        ),
        "avif",
    ),
    Case(
        "fit, GIF",
        {**_FIT, "format": "gif"},
        _shrunk(_same, lambda image, path: image.gifsave(path, keep="none")),
        "gif",
    ),
    Case(
        "fit, TIFF",
        {**_FIT, "format": "tiff"},
        _shrunk(
            _same,
            lambda image, path: image.tiffsave(
                path, compression="deflate", predictor="horizontal", keep="none"
            ),
        ),
        "tif",
    ),
    Case(
        "fit, lossless WebP",
        {**_FIT, "format": "webp", "lossless": True},
        _shrunk(
            _same,
            lambda image, path: image.webpsave(path, Q=75, lossless=True, effort=4, keep="none"),
        ),
    ),
    Case("fill, centre", {**_FIT, "mode": "fill", "format": "webp"}, _shrunk(_same, crop="centre")),
    Case(
        "fill, attention",
        {**_FIT, "mode": "fill", "gravity": "attention", "format": "webp"},
        _shrunk(_same, crop="attention"),
    ),
    Case(
        "fill, entropy",
        {**_FIT, "mode": "fill", "gravity": "entropy", "format": "webp"},
        _shrunk(_same, crop="entropy"),
    ),
    Case("pad", {**_FIT, "mode": "pad", "format": "webp"}, _shrunk(_pad)),
    Case("force", {**_FIT, "mode": "force", "format": "webp"}, _shrunk(_same, size="force")),
    Case("crop", {**_FIT, "crop": CROP, "format": "webp"}, _crop),
    Case("trim", {**_FIT, "trim": True, "format": "webp"}, _trim),
    Case(
        "rotate",
        {**_FIT, "rotate": 90, "format": "webp"},
        _shrunk(lambda image: image.copy_memory().rot90()),
    ),
    Case(
        "flip and flop",
        {**_FIT, "flip": True, "flop": True, "format": "webp"},
        _shrunk(lambda image: image.copy_memory().flipver().fliphor()),
    ),
    Case(
        "grayscale",
        {**_FIT, "grayscale": True, "format": "webp"},
        _shrunk(lambda image: image.colourspace("b-w")),
    ),
    Case(
        "blur 3",
        {**_FIT, "blur": 3, "format": "webp"},
        _shrunk(lambda image: image.gaussblur(3)),
    ),
    Case(
        "sharpen",
        {**_FIT, "sharpen": True, "format": "webp"},
        _shrunk(lambda image: image.sharpen(sigma=0.5)),
    ),
    Case("watermark, text", {**_FIT, "watermark": {"text": TEXT}, "format": "webp"}, _write_over),
    Case(
        "watermark, picture",
        {**_FIT, "watermark": {"preset_image": "mark", "sha256": MARK_SHA256}, "format": "webp"},
        _lay_over,
    ),
    Case(
        "metadata: all",
        {**_FIT, "metadata": "all", "format": "webp"},
        _shrunk(_same, lambda image, path: image.webpsave(path, Q=85, keep="all")),
    ),
    Case(
        f"at most {MAX_BYTES} bytes",
        {**_FIT, "max_bytes": MAX_BYTES, "format": "jpeg"},
        _fit_bytes,
        "jpg",
    ),
    Case("whole picture, JPEG q50", {"quality": 50, "format": "jpeg"}, _whole, "jpg"),
    Case(
        "animation, 24 frames",
        {"width": 200, "height": 200, "format": "webp"},
        _move,
        moves=True,
    ),
)
