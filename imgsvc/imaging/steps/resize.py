"""Resize to an exact size, in linear light where that shows."""

from __future__ import annotations

from functools import cache

import pyvips

from imgsvc.recipes.sizes import Size

LINEAR_MAX_PIXELS = 1_000_000
"""Up to here the look at contrast below costs a millisecond or two."""

_SHOWS_FROM_DEVIATION = 32.0
"""Contrast lost in shrinking, as a standard deviation of 8-bit values, from which the mean
in linear light is some four values brighter than the mean of the coded values."""


def resize(image: pyvips.Image, size: Size) -> pyvips.Image:
    """`image` at exactly `size`, in the bands and the format it had.

    Premultiplied meanwhile, so that the colour of transparent pixels does not bleed in; and
    in floating point, though that takes three times as long: at a sharp edge the filter goes
    beyond opaque, and where that is cut off before the colours are divided by it, they shine.
    """
    if (image.width, image.height) == size:
        return image
    if not image.hasalpha():
        return _scale(image, size)
    return _scale(image.premultiply(), size).unpremultiply().rint().cast(image.format)


def resize_by_light(image: pyvips.Image, size: Size) -> pyvips.Image:
    """As `resize`, for an image in memory, and right for fine high contrast too.

    Coded values are not amounts of light: averaging them darkens fine black and white
    detail (print screens, text, line drawings). Linear light is right but several times
    slower and makes no visible difference to photographs. So the quick way is taken
    first, and if it averaged much contrast away, the right one.
    """
    quick = resize(image, size)
    if not _may_need_light(image, size):
        return quick
    quick = quick.copy_memory()
    lost = image.deviate() ** 2 - quick.deviate() ** 2
    if lost < _SHOWS_FROM_DEVIATION**2:
        return quick
    return resize(image.maplut(_to_light()), size).maplut(_from_light())


def _may_need_light(image: pyvips.Image, size: Size) -> bool:
    return (
        image.width * image.height <= LINEAR_MAX_PIXELS
        and size != (1, 1)  # one pixel has no contrast to compare
        and (size.width < image.width or size.height < image.height)
        and image.format == "uchar"
        and image.interpretation in ("srgb", "b-w")
        and not image.hasalpha()
    )


def _scale(image: pyvips.Image, size: Size) -> pyvips.Image:
    return image.resize(size.width / image.width, vscale=size.height / image.height)


@cache
def _to_light() -> pyvips.Image:
    """Table from 8-bit sRGB to 16-bit linear light (IEC 61966-2-1)."""
    value = pyvips.Image.identity() / 255.0
    light = (value <= 0.04045).ifthenelse(value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return (light * 65535.0).rint().cast("ushort").copy_memory()


@cache
def _from_light() -> pyvips.Image:
    """The way back."""
    light = pyvips.Image.identity(ushort=True) / 65535.0
    value = (light <= 0.0031308).ifthenelse(light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (value * 255.0).rint().cast("uchar").copy_memory()
