"""Sound files made hostile: the same ones for the same seed, on every machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import NamedTuple

from imgsvc.domain.sniffing import HEAD_BYTES
from tests.hostile.structure import Number, Span, find_structure, mend_checksums

MOST_BYTES = 4 << 20
_MOST_STEPS = 3
_LONGEST_RUN = 64


class Specimen(NamedTuple):
    """A hostile file. kind: what was done to it."""

    name: str
    kind: str
    data: bytes


class _Bench(NamedTuple):
    """What a mutation works with. other: another sound file. kin: one of the same format."""

    dice: Random
    other: bytes
    kin: bytes


def mutate(originals: Mapping[str, bytes], count: int, seed: int) -> Iterator[Specimen]:
    """`count` files, each of one to three changes to one of the originals, which come in turn."""
    dice = Random(seed)  # noqa: S311 - repeatable, not secret
    names = sorted(originals)
    kinds = sorted(_MUTATIONS)
    for number in range(count):
        name = names[number % len(names)]
        kind = dice.choice(kinds)
        data = originals[name]
        bench = _Bench(dice, originals[dice.choice(names)], originals[_find_kin(name, names, dice)])
        data = _MUTATIONS[kind](data, bench)
        for _ in range(dice.randrange(_MOST_STEPS)):
            data = _MUTATIONS[dice.choice(kinds)](data, bench)
        if dice.random() < 0.7:
            data = mend_checksums(data)
        yield Specimen(f"{number:05}-{name}-{kind}", kind, data[:MOST_BYTES])


def _find_kin(name: str, names: list[str], dice: Random) -> str:
    format_ = name.partition("-")[0]
    return dice.choice([other for other in names if other.partition("-")[0] == format_])


def flip_bits(data: bytes, bench: _Bench) -> bytes:
    changed = bytearray(data)
    for _ in range(bench.dice.randint(1, 8)):
        if changed:
            changed[bench.dice.randrange(len(changed))] ^= 1 << bench.dice.randrange(8)
    return bytes(changed)


def flip_head_bits(data: bytes, bench: _Bench) -> bytes:
    """Where almost everything matters."""
    return flip_bits(data[:HEAD_BYTES], bench) + data[HEAD_BYTES:]


def overwrite_run(data: bytes, bench: _Bench) -> bytes:
    run = _find_run(data, bench.dice)
    size = run.end - run.start
    filling: bytes = bench.dice.choice((bytes(size), b"\xff" * size, bench.dice.randbytes(size)))
    return data[: run.start] + filling + data[run.end :]


def cut_off(data: bytes, bench: _Bench) -> bytes:
    return data[: bench.dice.randint(0, len(data))]


def cut_out(data: bytes, bench: _Bench) -> bytes:
    run = _find_run(data, bench.dice)
    return data[: run.start] + data[run.end :]


def repeat_run(data: bytes, bench: _Bench) -> bytes:
    run = _find_run(data, bench.dice)
    times = bench.dice.choice((1, 1, 10, 1000))
    return data[: run.end] + data[run.start : run.end] * times + data[run.end :]


def insert_run(data: bytes, bench: _Bench) -> bytes:
    at = bench.dice.randint(0, len(data))
    return data[:at] + bench.dice.randbytes(bench.dice.randint(1, _LONGEST_RUN)) + data[at:]


def splice(data: bytes, bench: _Bench) -> bytes:
    """The beginning of one file and the end of any other."""
    share = bench.dice.random()
    return data[: int(len(data) * share)] + bench.other[int(len(bench.other) * share) :]


def splice_kin(data: bytes, bench: _Bench) -> bytes:
    share = bench.dice.random()
    return data[: int(len(data) * share)] + bench.kin[int(len(bench.kin) * share) :]


def change_numbers(data: bytes, bench: _Bench) -> bytes:
    """Lengths, sizes, counts and offsets, to what is close by or far out."""
    numbers = find_structure(data).numbers
    for _ in range(bench.dice.randint(1, 3)):
        if numbers:
            data = _change_number(data, bench.dice.choice(numbers), bench.dice)
    return data


def remove_block(data: bytes, bench: _Bench) -> bytes:
    start, end = _find_block(data, bench.dice)
    return data[:start] + data[end:]


def repeat_block(data: bytes, bench: _Bench) -> bytes:
    start, end = _find_block(data, bench.dice)
    times = bench.dice.choice((1, 2, 50, 500))
    times = min(times, MOST_BYTES // max(1, end - start))
    return data[:end] + data[start:end] * times + data[end:]


def move_block(data: bytes, bench: _Bench) -> bytes:
    start, end = _find_block(data, bench.dice)
    block, rest = data[start:end], data[:start] + data[end:]
    at = _find_block(rest, bench.dice).start
    return rest[:at] + block + rest[at:]


def overwrite_block(data: bytes, bench: _Bench) -> bytes:
    """Noise within a block; its first bytes, which say what it is, stay."""
    start, end = _find_block(data, bench.dice)
    start = min(start + 8, end)
    return data[:start] + bench.dice.randbytes(end - start) + data[end:]


def transplant_block(data: bytes, bench: _Bench) -> bytes:
    """One of another file of the format, in place of one of its own."""
    start, end = _find_block(data, bench.dice)
    other = _find_block(bench.kin, bench.dice)
    return data[:start] + bench.kin[other.start : other.end] + data[end:]


def _find_run(data: bytes, dice: Random) -> Span:
    start = dice.randint(0, len(data))
    return Span(start, min(len(data), start + dice.randint(1, _LONGEST_RUN)))


def _find_block(data: bytes, dice: Random) -> Span:
    blocks = find_structure(data).blocks
    return dice.choice(blocks) if blocks else Span(0, 0)


def _change_number(data: bytes, number: Number, dice: Random) -> bytes:
    at, size, order = number
    most = (1 << 8 * size) - 1
    old = int.from_bytes(data[at : at + size], order)
    new: int = dice.choice((
        0, 1, 2, most, most - 1, most // 2, most // 2 + 1, 16383, 65500, 1 << 16, 1 << 24,
        old - 1, old + 1, old * 2, old * 256, old // 2, len(data), dice.randint(0, most),
    ))  # fmt: skip
    return data[:at] + (new % (most + 1)).to_bytes(size, order) + data[at + size :]


_MUTATIONS: dict[str, Callable[[bytes, _Bench], bytes]] = {
    mutation.__name__: mutation
    for mutation in (
        flip_bits,
        flip_head_bits,
        overwrite_run,
        cut_off,
        cut_out,
        repeat_run,
        insert_run,
        splice,
        splice_kin,
        change_numbers,
        remove_block,
        repeat_block,
        move_block,
        overwrite_block,
        transplant_block,
    )
}
