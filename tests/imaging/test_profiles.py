"""Colour profiles: kept with the pixels that they are for, or followed."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageCms

from imgsvc.domain.rendering import Rendered
from tests import pictures
from tests.imaging.conftest import Studio


def codes(outcome: Rendered) -> list[str]:
    return [str(warning.code) for warning in outcome.warnings]


def p3_photo(profile_bytes: int = 0) -> bytes:
    """profile_bytes: what the profile is filled up to; 0 leaves it as it is."""
    profile = pictures.make_p3_profile().ljust(profile_bytes, b"\0")
    profile = len(profile).to_bytes(4, "big") + profile[4:]
    picture = Image.new("RGB", (64, 48), (200, 60, 60))
    return pictures.encode(picture, "PNG", icc_profile=profile)


@pytest.mark.parametrize("format_", ["jpeg", "webp", "png", "avif", "tiff"])
def test_all_keeps_the_profile_and_the_pixels_as_it_means_them(
    studio: Studio, format_: str
) -> None:
    picture = studio.picture(p3_photo(), format=format_, metadata="all", quality=95)
    assert picture.info["icc_profile"] == pictures.make_p3_profile()
    red, green, blue = picture.convert("RGB").getpixel((20, 20))  # type: ignore[misc]
    assert abs(red - 200) <= 4 and abs(green - 60) <= 4 and abs(blue - 60) <= 4  # noqa: PT018


@pytest.mark.parametrize("format_", ["jpeg", "webp", "png", "avif", "tiff"])
def test_a_large_profile_is_kept_too(studio: Studio, format_: str) -> None:
    picture = studio.picture(p3_photo(70_000), format=format_, metadata="all", quality=95)
    assert len(picture.info["icc_profile"]) == 70_000


@pytest.mark.parametrize("format_", ["jpeg", "webp", "png", "avif", "tiff"])
def test_pixels_never_lose_the_profile_that_they_are_meant_by(studio: Studio, format_: str) -> None:
    """One that is too large to be kept is followed instead."""
    picture = studio.picture(p3_photo(2 << 20), format=format_, metadata="all", quality=95)
    assert "icc_profile" not in picture.info
    red, green, blue = picture.convert("RGB").getpixel((20, 20))  # type: ignore[misc]
    assert red >= 212 and green <= 45 and blue <= 55  # noqa: PT018


@pytest.mark.parametrize(
    ("format_", "spoil"),
    [
        ("jpeg", lambda profile: profile + bytes(2 << 20)),
        ("webp", lambda profile: profile + bytes(2 << 20)),
        ("png", lambda profile: profile[:8] + b"\4" + profile[9:] + b"\0"),
    ],
)
def test_a_profile_that_the_format_cannot_hold_is_applied(
    studio: Studio, format_: str, spoil: Callable[[bytes], bytes]
) -> None:
    """libpng refuses a profile of version 4 whose length is odd."""
    profile = spoil(pictures.make_p3_profile())
    profile = len(profile).to_bytes(4, "big") + profile[4:]
    red_wall = Image.new("RGB", (64, 48), (200, 60, 60))
    source = pictures.encode(red_wall, "TIFF", icc_profile=profile)
    picture = studio.picture(source, format=format_, metadata="all", quality=95)
    assert "icc_profile" not in picture.info
    red, *_ = picture.convert("RGB").getpixel((20, 20))  # type: ignore[misc]
    assert red > 208


def test_a_profile_longer_than_a_segment_is_kept_in_jpeg(studio: Studio) -> None:
    profile = pictures.make_p3_profile() + bytes(200_000)
    profile = len(profile).to_bytes(4, "big") + profile[4:]
    source = pictures.encode(Image.new("RGB", (64, 48)), "TIFF", icc_profile=profile)
    picture = studio.picture(source, format="jpeg", metadata="all")
    assert picture.info["icc_profile"] == profile


def test_grey_is_made_in_srgb(studio: Studio) -> None:
    picture = studio.picture(p3_photo(), format="png", metadata="all", grayscale=True)
    assert picture.mode == "L"
    assert "icc_profile" not in picture.info


@pytest.mark.parametrize("fields", [{"format": "gif"}, {"metadata": "none"}])
def test_where_the_profile_goes_the_pixels_become_srgb(
    studio: Studio, fields: dict[str, Any]
) -> None:
    wanted = {"format": "png", "metadata": "all", **fields}
    picture = studio.picture(p3_photo(), **wanted)
    assert "icc_profile" not in picture.info
    converted = ImageCms.profileToProfile(
        Image.new("RGB", (1, 1), (200, 60, 60)),
        ImageCms.ImageCmsProfile(BytesIO(pictures.make_p3_profile())),
        ImageCms.createProfile("sRGB"),
    )
    assert converted is not None
    expected = converted.getpixel((0, 0))
    found = picture.convert("RGB").getpixel((20, 20))
    assert isinstance(found, tuple)
    assert isinstance(expected, tuple)
    assert all(abs(a - b) <= 3 for a, b in zip(found, expected, strict=True))


def test_variants_that_keep_the_profile_do_not_disturb_the_others(studio: Studio) -> None:
    outcome = studio.run(
        p3_photo(),
        [
            {"name": "kept", "format": "png", "metadata": "all"},
            {"name": "converted", "format": "png"},
        ],
    )
    assert isinstance(outcome, Rendered)
    kept, converted = studio.show("kept", "png"), studio.show("converted", "png")
    assert kept.getpixel((1, 1)) != converted.getpixel((1, 1))


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "pad", "width": 80, "height": 80, "background": "#ff0000"},
        {"watermark": {"text": "mine"}},
    ],
)
def test_colours_that_a_recipe_names_are_in_srgb(studio: Studio, fields: dict[str, Any]) -> None:
    picture = studio.picture(p3_photo(), format="png", metadata="all", **fields)
    assert "icc_profile" not in picture.info


@pytest.mark.parametrize("fields", [{"grayscale": True, "format": "png"}, {"format": "gif"}])
def test_a_profile_that_was_asked_for_and_goes_is_told(
    studio: Studio, fields: dict[str, Any]
) -> None:
    assert codes(studio.make(p3_photo(), metadata="all", **fields)[1]) == ["metadata_dropped"]
    assert codes(studio.make(p3_photo(), **fields)[1]) == []
