from __future__ import annotations

from collections import Counter

import pytest

from imgsvc.domain.sniffing import HEAD_BYTES, sniff
from tests.hostile.__main__ import gather
from tests.hostile.mutator import MOST_BYTES, mutate
from tests.hostile.originals import make_originals
from tests.hostile.structure import find_structure, mend_checksums

ORIGINALS = make_originals()
PLAIN = {name: data for name, data in ORIGINALS.items() if len(data) < 20_000}


def test_the_same_seed_makes_the_same_files_and_another_one_others() -> None:
    first, again, other = (list(mutate(PLAIN, 100, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_files_are_damaged_in_every_way_and_bounded() -> None:
    specimens = list(mutate(PLAIN, 600, 3))
    kinds = Counter(specimen.kind for specimen in specimens)
    assert len(kinds) == 15
    assert all(len(specimen.data) <= MOST_BYTES for specimen in specimens)
    changed = [s for s in specimens if s.data not in PLAIN.values()]
    assert len(changed) > 0.9 * len(specimens)
    assert len({specimen.name for specimen in specimens}) == len(specimens)


@pytest.mark.parametrize("name", ORIGINALS)
def test_every_original_is_what_it_is_called(name: str) -> None:
    assert sniff(ORIGINALS[name][:HEAD_BYTES]) == name.partition("-")[0]


@pytest.mark.parametrize("name", ORIGINALS)
def test_of_every_original_there_are_blocks_and_numbers_within_the_file(name: str) -> None:
    data = ORIGINALS[name]
    found = find_structure(data)
    assert found.blocks
    assert found.numbers
    assert all(0 <= start < end <= len(data) for start, end in found.blocks)
    assert all(0 <= at <= len(data) - size for at, size, _ in found.numbers)


def test_a_sound_png_has_the_checksums_that_it_is_given() -> None:
    data = ORIGINALS["png-camera"]
    assert mend_checksums(data) == data
    broken = data[:20] + b"\1" + data[21:]
    assert mend_checksums(broken) != broken


def test_all_bombs_are_among_the_files_of_a_long_run_small_and_unlike_each_other() -> None:
    specimens = gather(200, 1)
    assert len(specimens) == 200
    bombs = [specimen.data for specimen in specimens if specimen.kind == "bomb"]
    assert len(bombs) > 100
    assert max(map(len, bombs)) < 24 << 20
    assert len(set(bombs)) == len(bombs)
