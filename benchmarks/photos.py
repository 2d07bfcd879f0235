"""Generated photos: landscapes with the size and the grain of real ones.

A camera's JPEG holds 0.2 to 0.5 bytes per pixel; flat test pictures hold a tenth of that
and would make every measurement look good. So these have light, haze, texture and sensor
noise. The same seed gives the same picture, and what was made once is kept.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEGAPIXELS = (2.1, 3.1, 5.0, 6.6, 8.0, 10.0, 12.2, 16.0, 20.1, 24.2)


UPRIGHT, TURNED = 1, 6
"""EXIF's numbers for a camera held level, and for one turned on its side."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One picture to make; width and height are those of the file, before it is turned."""

    path: Path
    seed: int
    width: int
    height: int
    quality: int = 90
    orientation: int = UPRIGHT


def make_photos(folder: Path, count: int) -> list[Path]:
    """`count` photos of 2 to 24 megapixels in `folder`, every eighth a PNG."""
    return _make_missing([_plan_photo(folder, seed) for seed in range(count)])


def make_small_photos(folder: Path, count: int) -> list[Path]:
    """`count` JPEG files of roughly 32 to 64 KB, as a shop or a phone would send them."""
    sizes = ((560, 420), (640, 480), (600, 600), (720, 540))
    plans = []
    for seed in range(count):
        width, height = sizes[seed % len(sizes)]
        path = folder / f"small-{seed:02d}.jpg"
        plans.append(Photo(path, seed, width, height, quality=80))
    return _make_missing(plans)


def _plan_photo(folder: Path, seed: int) -> Photo:
    chance = random.Random(seed)
    pixels = MEGAPIXELS[seed % len(MEGAPIXELS)] * 1e6
    ratio = chance.choice((3 / 2, 4 / 3, 16 / 9))
    width = round((pixels * ratio) ** 0.5)
    # A PNG of 24 megapixels with sensor noise is no file that people have: small ones only.
    is_png = seed % 8 == 5
    orientation = TURNED if seed % 5 == 3 and not is_png else UPRIGHT
    if is_png:
        width = round((3.1e6 * ratio) ** 0.5)
    suffix = "png" if is_png else "jpg"
    path = folder / f"landscape-{seed:02d}.{suffix}"
    return Photo(path, seed, width, round(width / ratio), orientation=orientation)


def _make_missing(plans: list[Photo]) -> list[Path]:
    missing = [plan for plan in plans if not plan.path.exists()]
    if missing:
        missing[0].path.parent.mkdir(parents=True, exist_ok=True)
        os.environ["VIPS_CONCURRENCY"] = "1"
        # The largest first, so that no single one is left over at the end.
        missing.sort(key=lambda plan: plan.width * plan.height, reverse=True)
        spawn = multiprocessing.get_context("spawn")
        workers = min(len(missing), len(os.sched_getaffinity(0)))
        with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
            for _ in pool.map(_paint, missing):
                pass
    return [plan.path for plan in plans]


def _paint(photo: Photo) -> None:
    """Runs in a child, so that libvips never starts threads in the caller."""
    partial = photo.path.with_name(f".{photo.path.name}.{os.getpid()}")
    picture = _landscape(photo)
    if photo.path.suffix == ".png":
        picture.pngsave(str(partial), compression=6, filter="sub")
    else:
        picture = picture.copy()
        picture.set_type(_int_type(), "orientation", photo.orientation)
        picture.jpegsave(str(partial), Q=photo.quality, optimize_coding=True)
    partial.replace(photo.path)


def _int_type() -> Any:
    import pyvips

    return pyvips.GValue.gint_type


def _landscape(photo: Photo) -> Any:
    """The scene, made at up to two megapixels and enlarged, with grain in every pixel."""
    shrink = max(1.0, (photo.width * photo.height / 2e6) ** 0.5)
    width, height = round(photo.width / shrink), round(photo.height / shrink)
    if photo.orientation == TURNED:
        scene = _scene(height, width, photo.seed).cast("short").copy_memory().rot270()
    else:
        scene = _scene(width, height, photo.seed).cast("short").copy_memory()
    scene = scene.resize(photo.width / width, vscale=photo.height / height, kernel="cubic")
    scene = scene.crop(0, 0, photo.width, photo.height)
    picture = scene + _grain(photo.width, photo.height, photo.seed)
    return picture.cast("uchar").copy(interpretation="srgb")


def _grain(width: int, height: int, seed: int) -> Any:
    """Sensor noise: one tile, repeated, as neither JPEG nor PNG sees that far."""
    import pyvips

    side = 509
    bands = [
        pyvips.Image.gaussnoise(side, side, sigma=4.6, mean=0, seed=seed * 7 + band)
        for band in range(3)
    ]
    tile = bands[0].bandjoin(bands[1:]).rint().cast("short").copy_memory()
    tiled = tile.replicate(width // side + 1, height // side + 1)
    return tiled.crop(0, 0, width, height)


def _scene(width: int, height: int, seed: int) -> Any:
    """Sky with clouds, a sun, and ridges that fade with distance."""
    import pyvips

    chance = random.Random(seed)
    place = pyvips.Image.xyz(width, height)
    down = place[1] / height
    horizon, zenith = _sky_colours(chance)
    clouds = (_clouds(width, height, seed) - 120).linear(1 / 60, 0).cast("float")
    clouds = (clouds < 0).ifthenelse(0, (clouds > 1).ifthenelse(1, clouds))
    picture = _blend(zenith, horizon, down.linear(1.5, 0))
    picture = picture + clouds * (1 - down) * 70
    picture = picture + _sun(place, width, height, chance)
    ridges = 4
    for ridge in range(ridges):
        nearness = (ridge + 1) / ridges
        line = _ridge(width, height, seed * 31 + ridge, 0.38 + 0.15 * ridge, nearness)
        ground = _ground(width, height, seed * 17 + ridge, chance, nearness, horizon)
        picture = (place[1] > line).ifthenelse(ground, picture)
    return picture


def _sky_colours(chance: random.Random) -> tuple[list[float], list[float]]:
    return chance.choice(
        (
            ([226.0, 219.0, 205.0], [74.0, 122.0, 186.0]),
            ([250.0, 188.0, 120.0], [62.0, 70.0, 130.0]),
            ([214.0, 224.0, 230.0], [110.0, 150.0, 190.0]),
            ([244.0, 160.0, 138.0], [44.0, 52.0, 98.0]),
        )
    )


def _blend(first: list[float], second: list[float], share: Any) -> Any:
    """`first` where `share` is 0, `second` where it is 1."""
    share = (share > 1).ifthenelse(1, share)
    bands = [share * (b - a) + a for a, b in zip(first, second, strict=True)]
    return bands[0].bandjoin(bands[1:])


def _clouds(width: int, height: int, seed: int) -> Any:
    """Noise of six sizes, each half as strong as the one before: mean 128."""
    return _octaves(width, height, seed, coarsest=6, octaves=6, sigma=48.0) + 128


def _octaves(
    width: int, height: int, seed: int, *, coarsest: int, octaves: int, sigma: float
) -> Any:
    import pyvips

    total: Any = 0
    for octave in range(octaves):
        across = min(width, coarsest << octave)
        upright = max(2, round(across * height / width))
        noise = pyvips.Image.gaussnoise(
            across, upright, sigma=sigma / (1.7**octave), mean=0, seed=seed * 101 + octave
        )
        total = noise.resize(width / across, vscale=height / upright, kernel="cubic") + total
        total = total.crop(0, 0, width, height) if total.width != width else total
    return total


def _sun(place: Any, width: int, height: int, chance: random.Random) -> Any:
    across = place[0] / height - chance.uniform(0.2, 0.8) * width / height
    down = place[1] / height - chance.uniform(0.08, 0.3)
    glow = (across * across + down * down) * 90 + 0.35
    return (70 / glow).bandjoin([58 / glow, 40 / glow])


def _ridge(width: int, height: int, seed: int, level: float, nearness: float) -> Any:
    """Row at which the ground begins, for every column."""
    import pyvips

    heights: Any = 0
    for octave in range(9):
        points = min(width, 4 << octave)
        sigma = 0.07 * height / (1.9**octave)
        noise = pyvips.Image.gaussnoise(points, 1, sigma=sigma, mean=0, seed=seed * 53 + octave)
        heights = noise.resize(width / points, vscale=1, kernel="cubic") + heights
    row = heights.crop(0, 0, width, 1) + level * height + 0.02 * nearness * height
    return row.copy_memory().replicate(1, height)


def _ground(
    width: int,
    height: int,
    seed: int,
    chance: random.Random,
    nearness: float,
    haze: list[float],
) -> Any:
    """Woods and meadows: coarser and darker the nearer they are."""
    hue = chance.choice(([46.0, 74.0, 40.0], [88.0, 84.0, 46.0], [70.0, 60.0, 52.0]))
    texture = _octaves(width, height, seed, coarsest=24, octaves=7, sigma=30.0 * nearness)
    bands = []
    for base, far in zip(hue, haze, strict=True):
        bands.append(texture * (0.5 + base / 160) + base * nearness + far * (1 - nearness))
    return bands[0].bandjoin(bands[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=24)
    arguments = parser.parse_args()
    for path in make_photos(arguments.folder, arguments.count):
        print(f"{path}  {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
