"""Bring whatever the file holds to 8-bit sRGB, or 8-bit grey where it has no colour."""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple

import pyvips

_COLOUR_BANDS = 3
_BANDS_OF = {"b-w": 1, "grey16": 1, "cmyk": 4}
"""Of colour, where it is not three; an alpha may come on top."""

_PROFILE_KEPT_BYTES = 64 << 10
_ODD_SPACES = frozenset({"multiband", "histogram", "matrix", "fourier", "error"})


class Converted(NamedTuple):
    image: pyvips.Image
    profile_assumed: bool


def drop_extra_bands(image: pyvips.Image) -> pyvips.Image:
    """Scientific TIFF files hold more than colours and one alpha; then which of them is the
    alpha, if any, is not to be known, and all go.
    """
    colours = _BANDS_OF.get(image.interpretation, _COLOUR_BANDS)
    return image if image.bands <= colours + 1 else image.extract_band(0, n=colours)


def to_srgb(image: pyvips.Image) -> Converted:
    """`image` in 8 bits, through its own profile where it has a usable one.

    profile_assumed: it had to be guessed how its colours are meant.
    """
    image = _with_known_space(image)
    has_profile = image.get_typeof("icc-profile-data") != 0
    if has_profile and _profile_fits(image):
        if _is_srgb_already(image):
            return Converted(image, profile_assumed=False)
        try:
            return Converted(_transform(image, embedded=True), profile_assumed=False)
        except pyvips.Error:  # it cannot be read after all; go on without it
            pass
    if image.interpretation == "cmyk":
        image = image.copy()
        image.remove("icc-profile-data")
        return Converted(_transform(image, input_profile="cmyk"), profile_assumed=True)
    return Converted(_without_profile(image), profile_assumed=has_profile)


def to_eight_bits(image: pyvips.Image) -> pyvips.Image:
    """`image` in colours as its own RGB profile means them, with that profile."""
    return image if image.format == "uchar" else image.colourspace("srgb")


def has_own_profile(image: pyvips.Image) -> bool:
    """Whether there is one, and it means something else than sRGB."""
    return image.get_typeof("icc-profile-data") != 0 and not _is_srgb_already(image)


def has_rgb_profile(image: pyvips.Image) -> bool:
    """Whether that one is usable, and for colours as screens have them."""
    return (
        has_own_profile(image)
        and not _is_grey(image)
        and image.interpretation in ("srgb", "rgb16", "rgb")
        and _profile_fits(image)
    )


def _without_profile(image: pyvips.Image) -> pyvips.Image:
    space = "b-w" if _is_grey(image) else "srgb"
    if image.interpretation != space:
        image = image.colourspace(space)
    return image if image.format == "uchar" else image.cast("uchar")


def _transform(image: pyvips.Image, **source: str | bool) -> pyvips.Image:
    """Relative colorimetric with black point compensation: black ink becomes black."""
    converted = image.icc_transform(
        "srgb", intent="relative", black_point_compensation=True, depth=8, **source
    )
    if not _is_grey(image):
        return converted
    grey = converted.extract_band(0).copy(interpretation="b-w")
    return grey.bandjoin(converted[converted.bands - 1]) if image.hasalpha() else grey


def _profile_fits(image: pyvips.Image) -> bool:
    """Whether the profile is for the space of the pixels; libvips would guess another one
    without a word (ICC.1:2001-04, 6.1.5: the data colour space).
    """
    space = image.get("icc-profile-data")[16:20]
    if _is_grey(image):
        return bool(space == b"GRAY")
    return bool(space == (b"CMYK" if image.interpretation == "cmyk" else b"RGB "))


def _is_srgb_already(image: pyvips.Image) -> bool:
    """Most photos carry an sRGB profile: converting them takes time and changes nothing."""
    if _is_grey(image) or image.format != "uchar" or image.interpretation != "srgb":
        return False
    profile = image.get("icc-profile-data")
    return len(profile) <= _PROFILE_KEPT_BYTES and _means_srgb(profile)


@lru_cache(maxsize=32)
def _means_srgb(profile: bytes) -> bool:
    """Whether the profile moves no colour of a coarse grid by more than rounding does."""
    grid = _colour_grid().copy()
    grid.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    try:
        moved = (_transform(grid, embedded=True) - grid).abs().max()
    except pyvips.Error:
        return False
    return bool(moved <= 1)


@cache
def _colour_grid() -> pyvips.Image:
    """One row of 729 colours, 9 steps a channel."""
    steps = [round(step * 255 / 8) for step in range(9)]
    colours = bytes(value for colour in product(steps, repeat=3) for value in colour)
    row = pyvips.Image.new_from_memory(colours, len(colours) // 3, 1, 3, "uchar")
    return row.copy(interpretation="srgb")


def _is_grey(image: pyvips.Image) -> bool:
    return int(image.bands) < _COLOUR_BANDS


def _with_known_space(image: pyvips.Image) -> pyvips.Image:
    """Scientific files may name no colour space."""
    if image.interpretation not in _ODD_SPACES:
        return image
    if _is_grey(image):
        return image.copy(interpretation="grey16" if image.format == "ushort" else "b-w")
    return image.copy(interpretation="rgb16" if image.format == "ushort" else "srgb")
