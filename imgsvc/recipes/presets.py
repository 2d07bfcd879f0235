"""The presets that come with the program. A preset is a recipe with a name."""

from __future__ import annotations

from imgsvc.recipes.model import Format, Recipe, Variant

DEFAULT_PRESET = "standard"

_WEB_WIDTHS = (480, 960, 1920)
_WEB_FORMATS: tuple[Format, ...] = ("avif", "webp")

BUILT_IN: dict[str, Recipe] = {
    "standard": Recipe(
        variants=(
            Variant(name="standard", width=800, height=800, format="webp", quality=85),
            Variant(name="thumbnail", width=200, height=200, format="webp", quality=85),
            Variant(
                name="grayscale", width=800, height=800, grayscale=True, format="webp", quality=85
            ),
        )
    ),
    "thumbnail": Recipe(
        variants=(Variant(name="thumbnail", width=200, height=200, format="webp", quality=85),)
    ),
    "compress": Recipe(variants=(Variant(name="compress", quality=50),)),
    "web": Recipe(
        variants=tuple(
            Variant(name=f"w{width}-{format_}", width=width, format=format_)
            for width in _WEB_WIDTHS
            for format_ in _WEB_FORMATS
        )
    ),
    "square": Recipe(
        variants=(
            Variant(
                name="square",
                width=1000,
                height=1000,
                mode="fill",
                gravity="attention",
                format="jpeg",
                quality=85,
            ),
        )
    ),
}
"""By name. Read-only over the API."""
