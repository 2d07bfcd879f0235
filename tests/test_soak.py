"""The soak tells what grows from what only moves."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmarks.soak import MEASURES, MIB, Sample, grows

SAMPLES = [Sample(2.0 * n, 80 * MIB, 250 * MIB, 60, 4 * MIB, 20 * MIB) for n in range(120)]
"""Four minutes in which nothing changes."""


def find_growing(samples: list[Sample]) -> list[str]:
    return [measure.name for measure in MEASURES if grows(measure, samples)]


@pytest.mark.parametrize(
    ("field", "start", "end", "name"),
    [
        ("server", 60 * MIB, 140 * MIB, "server memory, MiB"),
        ("workers", 254 * MIB, 650 * MIB, "workers' memory, MiB"),
        ("files", 50, 130, "open files of the server"),
        ("wal", 0, 129 * MIB, "log of the database, MiB"),
        ("disk", 0, 380 * MIB, "data folder, MiB"),
    ],
)
def test_what_rises_all_the_time_grows(field: str, start: int, end: int, name: str) -> None:
    risen = [
        replace(sample, **{field: start + (end - start) * n // (len(SAMPLES) - 1)})
        for n, sample in enumerate(SAMPLES)
    ]
    assert find_growing(risen) == [name]


def test_what_warms_up_and_then_moves_up_and_down_does_not_grow() -> None:
    moving = []
    for n, sample in enumerate(SAMPLES):
        warm, wave = min(n / 50, 1), math.sin(n / 3)
        moving.append(
            replace(
                sample,
                server=int((60 + 50 * warm + 10 * wave) * MIB),
                workers=int((100 + 300 * warm + 80 * wave) * MIB),
                files=int(60 + 40 * wave),
                wal=int((40 + 40 * wave) * MIB),
                disk=int((100 + 100 * wave) * MIB),
            )
        )
    assert find_growing(moving) == []


def test_a_single_moment_above_a_limit_counts() -> None:
    above = [*SAMPLES, replace(SAMPLES[-1], wal=129 * MIB), *SAMPLES]
    assert find_growing(above) == ["log of the database, MiB"]
