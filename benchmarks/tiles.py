"""What the gallery shows: every field of a recipe at work on one photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 220, 150
"""Of the largest tile, pixels: all are shown as they are, none is scaled."""

SQUARE = 150
MARK = "badge"


@dataclass(frozen=True, slots=True)
class Tile:
    """fields: of the variant, without its name. source: which of the gallery's inputs."""

    label: str
    fields: dict[str, Any]
    source: str = "photo"


def plan_tiles(width: int, height: int) -> tuple[Tile, ...]:
    """Tiles for a photo of `width` x `height` pixels, upright; in the order of the recipe."""
    return (
        *_sizes(),
        *_fills(),
        *_pads(),
        *_cuts(width, height),
        *_turns(),
        *_looks(),
        *_marks(),
        *_encodings(),
    )


def _fit(label: str, source: str = "photo", **fields: Any) -> Tile:
    return Tile(label, {"width": WIDTH, "height": HEIGHT, "format": "webp", **fields}, source)


def _sizes() -> tuple[Tile, ...]:
    return (
        _fit("fit"),
        Tile("width alone", {"width": 140, "format": "webp"}),
        _fit("force", mode="force", width=SQUARE, height=SQUARE),
        _fit("few pixels", "few"),
        _fit("few pixels, enlarge", "few", enlarge=True),
    )


def _fills() -> tuple[Tile, ...]:
    tall: dict[str, Any] = {"mode": "fill", "width": 100, "height": HEIGHT}
    wide: dict[str, Any] = {"mode": "fill", "width": WIDTH, "height": 60}
    return (
        _fit("fill, centre", **tall),
        _fit("fill, west", **tall, gravity="west"),
        _fit("fill, east", **tall, gravity="east"),
        _fit("fill, attention", **tall, gravity="attention"),
        _fit("fill, entropy", **tall, gravity="entropy"),
        _fit("fill, x .25 y .5", **tall, gravity={"x": 0.25, "y": 0.5}),
        _fit("fill, north", **wide, gravity="north"),
        _fit("fill, south", **wide, gravity="south"),
    )


def _pads() -> tuple[Tile, ...]:
    box: dict[str, Any] = {"mode": "pad", "width": SQUARE, "height": SQUARE}
    return (
        _fit("pad", **box, background="#2a6f97"),
        _fit("pad, north", **box, gravity="north", background="#2a6f97"),
        _fit("pad, transparent", **box, background="#0000"),
        _fit("pad, grayscale", **box, background="#e76f51", grayscale=True),
    )


def _cuts(width: int, height: int) -> tuple[Tile, ...]:
    return (
        _fit("crop", crop=_middle(width, height, width // 3, height // 3)),
        _fit("framed photo", "framed"),
        _fit("trim", "framed", trim=True),
        _fit("transparent frame", "clear"),
        _fit("trim", "clear", trim=20),
        _fit("flattened", "clear", format="jpeg", background="#f4a261"),
    )


def _turns() -> tuple[Tile, ...]:
    return (
        _fit("rotate 90", rotate=90),
        _fit("rotate 180", rotate=180),
        _fit("rotate 270", rotate=270),
        _fit("flip", flip=True),
        _fit("flop", flop=True),
        _fit("turned by EXIF", "turned"),
    )


def _looks() -> tuple[Tile, ...]:
    return (
        _fit("grayscale", grayscale=True),
        _fit("blur 3", blur=3),
        _fit("sharpen", sharpen=True),
        _fit("sharpen 4", sharpen=4),
    )


def _marks() -> tuple[Tile, ...]:
    text, picture = {"text": "© Studio Nord"}, {"preset_image": MARK}
    return (
        _fit("text", watermark={**text, "scale": 0.6, "margin": 6, "opacity": 0.9}),
        _fit("text, centre", watermark={**text, "gravity": "centre", "scale": 0.9}),
        _fit("picture", watermark={**picture, "opacity": 1, "margin": 6}),
        _fit("picture, northwest", watermark={**picture, "gravity": "northwest", "scale": 0.4}),
    )


def _encodings() -> tuple[Tile, ...]:
    return (
        _fit("quality 10", format="jpeg", quality=10),
        _fit("quality 50", format="jpeg", quality=50),
        _fit("quality 85", format="jpeg", quality=85, progressive=True, metadata="all"),
        _fit("max_bytes 3000", format="jpeg", max_bytes=3000),
        _fit("lossless", lossless=True, effort=9),
        _fit("avif", format="avif"),
        _fit("gif, 256 colours", format="gif"),
        _fit("png", format="png"),
        _fit("tiff", format="tiff"),
        _fit("animation, last frame", "moving", format="same"),
        _fit("animation, first", "moving", format="same", animation="first"),
    )


def _middle(width: int, height: int, wanted_width: int, wanted_height: int) -> dict[str, int]:
    """A crop from the middle, as much of it as there is."""
    cut_width, cut_height = min(wanted_width, width), min(wanted_height, height)
    return {
        "left": (width - cut_width) // 2,
        "top": (height - cut_height) // 2,
        "width": cut_width,
        "height": cut_height,
    }
