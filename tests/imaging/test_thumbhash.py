"""The published format, to the bit: against its formulas, and against its own encoder."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from math import cos, floor, pi

import pytest

from imgsvc.imaging.miniature import Miniature
from imgsvc.imaging.thumbhash import encode_thumbhash
from imgsvc.recipes.sizes import Size

OPAQUE = 255

Pixel = tuple[int, int, int, int]


def make_miniature(width: int, height: int, values: list[Pixel]) -> Miniature:
    red, green, blue, alpha = (bytes(plane) for plane in zip(*values, strict=True))
    has_alpha = min(alpha) < OPAQUE
    return Miniature(Size(width, height), red, green, blue, alpha if has_alpha else None)


def make_noise(width: int, height: int, seed: int, *, has_alpha: bool) -> Miniature:
    noise = hashlib.shake_128(bytes([seed])).digest(4 * width * height)
    quads = zip(*(noise[band::4] for band in range(4)), strict=True)
    return make_miniature(width, height, [(*q[:3], q[3] if has_alpha else OPAQUE) for q in quads])


def make_pattern(width: int, height: int, *, has_alpha: bool) -> Miniature:
    def colour(x: int, y: int, band: int) -> int:
        return (5 * x * (band + 1) + 7 * y * (3 - band) + (x * y >> band + 1)) % 256

    def pixel(x: int, y: int) -> Pixel:
        alpha = (9 * x + 4 * y * y) % 256 if has_alpha else OPAQUE
        return colour(x, y, 0), colour(x, y, 1), colour(x, y, 2), alpha

    return make_miniature(width, height, [pixel(x, y) for y in range(height) for x in range(width)])


def encode_slowly(miniature: Miniature) -> bytes:
    """The formulas as they are published, term by term."""
    width, height = miniature.size
    light, yellow_blue, red_green, alpha = channels_of(miniature)
    has_alpha = sum(alpha) < width * height
    longest = 5 if has_alpha else 7
    nx = max(1, half_up(longest * width / max(width, height)))
    ny = max(1, half_up(longest * height / max(width, height)))
    l_dc, l_ac, l_scale = transform(light, miniature.size, max(3, nx), max(3, ny))
    p_dc, p_ac, p_scale = transform(yellow_blue, miniature.size, 3, 3)
    q_dc, q_ac, q_scale = transform(red_green, miniature.size, 3, 3)
    is_landscape = width > height
    fields = [
        (half_up(63 * l_dc), 6),
        (half_up(31.5 + 31.5 * p_dc), 6),
        (half_up(31.5 + 31.5 * q_dc), 6),
        (half_up(31 * l_scale), 5),
        (has_alpha, 1),
        (ny if is_landscape else nx, 3),
        (half_up(63 * p_scale), 6),
        (half_up(63 * q_scale), 6),
        (is_landscape, 1),
    ]
    waves = l_ac + p_ac + q_ac
    if has_alpha:
        a_dc, a_ac, a_scale = transform(alpha, miniature.size, 5, 5)
        fields += [(half_up(15 * a_dc), 4), (half_up(15 * a_scale), 4)]
        waves += a_ac
    fields += [(half_up(15 * wave), 4) for wave in waves]
    bits = length = 0
    for value, field_bits in fields:
        bits |= value << length
        length += field_bits
    return bits.to_bytes((length + 7) // 8, "little")


def channels_of(miniature: Miniature) -> list[list[float]]:
    """Lightness, yellow against blue, red against green, and alpha, of every pixel."""
    (width, height), *colours, veil = miniature
    alpha = [a / 255 for a in veil or bytes([OPAQUE]) * (width * height)]
    pixels = list(zip(*colours, alpha, strict=True))
    total = sum(alpha)
    means = [sum(p[band] / 255 * p[3] for p in pixels) / (total or 1) for band in range(3)]
    shown = [[means[band] * (1 - p[3]) + p[band] / 255 * p[3] for band in range(3)] for p in pixels]
    return [
        [(r + g + b) / 3 for r, g, b in shown],
        [(r + g) / 2 - b for r, g, b in shown],
        [r - g for r, g, b in shown],
        alpha,
    ]


def transform(
    channel: list[float], size: Size, nx: int, ny: int
) -> tuple[float, list[float], float]:
    terms = []
    for cy in range(ny):
        cx = 0
        while cx * ny < nx * (ny - cy):
            term = 0.0
            for y in range(size.height):
                for x in range(size.width):
                    along = cos(pi / size.width * cx * (x + 0.5))
                    down = cos(pi / size.height * cy * (y + 0.5))
                    term += channel[x + y * size.width] * along * down
            terms.append(term / len(channel))
            cx += 1
    mean, *rest = terms
    scale = max(abs(term) for term in rest)
    return mean, [0.5 + 0.5 / scale * term for term in rest] if scale else rest, scale


def half_up(value: float) -> int:
    return floor(value + 0.5)


@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize(
    ("width", "height"), [(24, 18), (18, 24), (24, 24), (24, 5), (3, 24), (7, 6), (30, 1)]
)
def test_the_hash_is_what_the_formulas_give(width: int, height: int, has_alpha: bool) -> None:
    for seed in range(3):
        miniature = make_noise(width, height, seed, has_alpha=has_alpha)
        assert encode_thumbhash(miniature, miniature.size) == encode_slowly(miniature)


@pytest.mark.parametrize(
    ("width", "height", "has_alpha", "expected"),
    [
        (24, 18, False, "H/gFDYRVcndUcGoV1VfTpOUvYoQI"),
        (18, 24, False, "H/gFFQRFZjWSaJA6s4NLe/Po0x9m"),
        (100, 37, False, "4AcCA4BjcoQmBDEgBa9XWYA="),
        (20, 20, False, "H/gFJwI2dIg1oWgFqDXUN5umR59JLmMA"),
        (1, 2, False, "AggGDAIIJ9h4iI0C14gIgocgeA=="),
        (24, 17, True, "IPiBDIIXZ4R4kChYR/5yR4YAVXdyWXFWAw=="),
        (9, 30, True, "4QeCEgIXNjQrB1qX+b2cCWJmcohhJwY="),
    ],
)
def test_the_hash_is_what_the_published_encoder_gives(
    width: int, height: int, has_alpha: bool, expected: str
) -> None:
    """Its JavaScript package, version 0.1.1, on the same pixels."""
    miniature = make_pattern(width, height, has_alpha=has_alpha)
    assert b64encode(encode_thumbhash(miniature, miniature.size)).decode() == expected


@pytest.mark.parametrize("alpha", [OPAQUE, 128, 0])
def test_a_plain_picture_has_a_mean_and_no_waves(alpha: int) -> None:
    colour = (64, 128, 192, alpha)
    plain = encode_thumbhash(make_miniature(8, 6, [colour] * 48), Size(8, 6))
    head = int.from_bytes(plain[:3], "little")
    light = round(63 * 128 / 255) if alpha else 0
    assert (head & 63, head >> 18 & 31) == (light, 0)
    assert head >> 23 == (alpha < OPAQUE)
    assert int.from_bytes(plain[3:5], "little") >> 3 & 4095 == 0
    if alpha < OPAQUE:
        assert plain[5] == round(15 * alpha / 255)


def test_the_ratio_is_the_pictures_and_not_the_miniatures() -> None:
    miniature = make_noise(24, 20, 1, has_alpha=False)
    wide = encode_thumbhash(miniature, Size(7000, 2000))
    tall = encode_thumbhash(miniature, Size(2000, 7000))
    assert (wide[3] & 7, wide[4] >> 7) == (2, 1)
    assert (tall[3] & 7, tall[4] >> 7) == (2, 0)
