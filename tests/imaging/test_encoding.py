"""What encoders are told: lossless, effort, progressive, and how large a file may be."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image, ImageChops

from imgsvc.domain.rendering import Rendered
from imgsvc.imaging.fitting import fit_bytes
from tests import pictures
from tests.imaging.conftest import Studio


def photo(width: int = 160, height: int = 120) -> bytes:
    noise = Image.effect_noise((width, height), 60).convert("RGB")
    return pictures.encode(Image.blend(noise, pictures.quarters(width, height), 0.7), "PNG")


def codes(outcome: Rendered) -> list[str]:
    return [str(warning.code) for warning in outcome.warnings]


def size_of(studio: Studio, data: bytes, **fields: Any) -> int:
    return studio.make(data, **fields)[1].outputs[0].size_bytes


@pytest.mark.parametrize("format_", ["webp", "avif", "png", "tiff"])
def test_lossless_changes_no_pixel(studio: Studio, format_: str) -> None:
    data = photo(60, 40)
    picture = studio.picture(data, format=format_, lossless=True)
    with Image.open(studio.folder / "in") as source:
        assert (
            ImageChops.difference(source.convert("RGB"), picture.convert("RGB")).getbbox() is None
        )


@pytest.mark.parametrize("format_", ["jpeg", "gif"])
def test_lossless_where_there_is_none_is_told(studio: Studio, format_: str) -> None:
    assert codes(studio.make(photo(), format=format_, lossless=True)[1]) == ["quality_ignored"]


def test_a_quality_beside_lossless_is_told_to_be_ignored(studio: Studio) -> None:
    _, outcome = studio.make(photo(), format="webp", lossless=True, quality=40)
    assert codes(outcome) == ["quality_ignored"]


@pytest.mark.parametrize("format_", ["webp", "png"])
def test_more_effort_makes_a_smaller_file(studio: Studio, format_: str) -> None:
    data = photo()
    least, most = (size_of(studio, data, format=format_, effort=effort) for effort in (0, 9))
    assert most < least


def test_effort_reaches_the_encoder_of_avif(studio: Studio) -> None:
    data = photo()
    least, most = (size_of(studio, data, format="avif", effort=effort) for effort in (0, 9))
    assert most != least


@pytest.mark.parametrize("format_", ["webp", "jpeg", "png", "avif", "gif", "tiff"])
@pytest.mark.parametrize("effort", range(10))
def test_every_effort_is_taken_by_every_format(studio: Studio, format_: str, effort: int) -> None:
    assert studio.make(pictures.make_png(16, 12), format=format_, effort=effort)[1].outputs


@pytest.mark.parametrize("format_", ["jpeg", "png"])
def test_progressive_files_come_in_passes(studio: Studio, format_: str) -> None:
    def is_progressive(**fields: Any) -> bool:
        info = studio.picture(photo(), format=format_, **fields).info
        return bool(info.get("progressive") or info.get("interlace"))

    assert is_progressive(progressive=True)
    assert not is_progressive()


@pytest.mark.parametrize("format_", ["jpeg", "webp", "avif"])
def test_max_bytes_gives_the_best_quality_that_fits(studio: Studio, format_: str) -> None:
    data = photo()
    full = size_of(studio, data, format=format_, quality=90)
    limit = full // 2
    _, outcome = studio.make(data, format=format_, quality=90, max_bytes=limit)
    size = outcome.outputs[0].size_bytes
    sizes = [size_of(studio, data, format=format_, quality=q) for q in range(1, 91)]
    assert 0.97 * max(other for other in sizes if other <= limit) <= size <= limit
    assert codes(outcome) == []


def test_a_file_that_fits_keeps_the_quality_that_was_asked_for(studio: Studio) -> None:
    data = photo()
    plain = size_of(studio, data, format="jpeg", quality=70)
    assert size_of(studio, data, format="jpeg", quality=70, max_bytes=10**6) == plain


@pytest.mark.parametrize("format_", ["jpeg", "webp", "png", "gif", "tiff"])
def test_what_cannot_fit_is_as_small_as_can_be_and_told(studio: Studio, format_: str) -> None:
    data = photo(640, 480)
    _, outcome = studio.make(data, format=format_, max_bytes=1024)
    assert codes(outcome) == ["max_bytes_missed"]
    if format_ in ("jpeg", "webp"):
        lowest = size_of(studio, data, format=format_, quality=1)
        assert outcome.outputs[0].size_bytes == lowest


@pytest.mark.parametrize("limit", range(0, 120, 7))
def test_halving_finds_the_largest_that_fits(limit: int) -> None:
    tried = []

    def encode(quality: int) -> bytes:
        tried.append(quality)
        return b"x" * quality

    data, fits = fit_bytes(encode, 90, limit)
    assert fits == (limit >= 1)
    assert len(data) == max(1, min(limit, 90))
    assert len(tried) <= 8


def test_far_from_fitting_the_lowest_quality_is_tried_at_once() -> None:
    tried = []

    def encode(quality: int) -> bytes:
        tried.append(quality)
        return b"x" * (quality * 100 + 1000)

    assert fit_bytes(encode, 90, 500) == (b"x" * 1100, False)
    assert tried == [90, 1]
