from __future__ import annotations

import tracemalloc
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsvc.domain.names import MAX_COMPONENT_BYTES, ResultNames, without_controls
from imgsvc.domain.rendering import EXTENSIONS

Variants = Sequence[tuple[str, str]]

ONE: Variants = [("standard", "webp")]
TWO: Variants = [("standard", "webp"), ("thumbnail", "webp")]
SAME: Variants = [("compress", "same")]

_WINDOWS_DEVICES = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{d}{n}" for d in ("COM", "LPT") for n in "0123456789²"),
}


def paths(names: Sequence[str], variants: Variants, *, same: str = "jpeg") -> list[str]:
    """Every result of every image, those of format `same` made as `same`."""
    results = ResultNames(enumerate(names), variants)
    return [
        results.path(index, variant, same if format_ == "same" else format_)
        for index in range(len(names))
        for variant, format_ in variants
    ]


def compared(path: str) -> str:
    """As a file system compares that knows neither case nor normal forms."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def test_one_variant_is_named_by_the_stem_alone() -> None:
    assert paths(["a.jpg", "trip/b.old.PNG"], ONE) == ["a.webp", "trip/b.old.webp"]


def test_several_variants_add_their_names() -> None:
    assert paths(["x/a.jpg"], TWO) == ["x/a-standard.webp", "x/a-thumbnail.webp"]


def test_inputs_that_collide_all_keep_their_whole_names() -> None:
    assert paths(["a.jpg", "a.png", "b.jpg"], ONE) == ["a.jpg.webp", "a.png.webp", "b.webp"]


def test_equal_whole_names_are_numbered_in_index_order() -> None:
    assert paths(["a.jpg"] * 3, ONE) == ["a.jpg.webp", "a.jpg-2.webp", "a.jpg-3.webp"]


def test_numbers_stand_before_the_variant() -> None:
    assert paths(["a.jpg"] * 2, TWO)[2:] == ["a.jpg-2-standard.webp", "a.jpg-2-thumbnail.webp"]


def test_equal_names_in_other_folders_do_not_collide() -> None:
    assert paths(["x/a.jpg", "y/a.jpg"], ONE) == ["x/a.webp", "y/a.webp"]


def test_names_that_differ_in_case_alone_collide() -> None:
    assert paths(["A.jpg", "a.JPG"], ONE) == ["A.jpg.webp", "a.JPG-2.webp"]


def test_names_that_differ_in_normal_form_alone_collide() -> None:
    composed, decomposed = paths(["\u00e9.jpg", "e\u0301.jpg"], ONE)
    assert (composed, decomposed) == ("\u00e9.jpg.webp", "e\u0301.jpg-2.webp")


def test_a_whole_name_gives_way_to_no_other_input() -> None:
    """`a.jpg.x` alone would be called as the whole name of `a.jpg`."""
    assert paths(["a.jpg", "a.png", "a.jpg.x"], ONE) == [
        "a.jpg.webp",
        "a.png.webp",
        "a.jpg-2.webp",
    ]


def test_a_variant_cannot_make_two_stems_meet() -> None:
    made = paths(["a.jpg", "a-b.jpg"], [("b-c", "webp"), ("c", "webp")])
    assert len(set(made)) == 4
    assert "a.jpg-b-c.webp" in made


def test_a_result_does_not_stand_where_a_folder_must_be() -> None:
    assert paths(["a.jpg", "A.WEBP/b.jpg"], ONE) == ["a.jpg.webp", "A.WEBP/b.webp"]


def test_same_format_collides_only_where_the_extension_does() -> None:
    results = ResultNames(enumerate(["a.jpg", "a.png", "a.jpeg"]), SAME)
    assert results.path(1, "compress", "png") == "a.png"
    assert results.path(0, "compress", "jpeg") == "a.jpg.jpg"
    assert results.path(2, "compress", "jpeg") == "a.jpeg.jpg"


def test_an_image_whose_name_lies_about_its_format_takes_no_other_name() -> None:
    results = ResultNames(enumerate(["a.jpg", "a.png"]), SAME)
    assert results.path(0, "compress", "png") == "a.jpg.png"
    assert results.path(1, "compress", "png") == "a.png"


def test_an_image_alone_may_turn_out_to_be_of_any_format() -> None:
    assert [paths(["a.jpg"], SAME, same=format_)[0] for format_ in EXTENSIONS] == [
        f"a.{ext}" for ext in EXTENSIONS.values()
    ]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("../../etc/passwd", "etc/passwd.webp"),
        ("/etc/cron.d/x.png", "etc/cron.d/x.webp"),
        ("..\\..\\x.png", "x.webp"),
        ("C:\\Users\\me\\x.png", "Users/me/x.webp"),
        ("\\\\host\\share\\x.png", "host/share/x.webp"),
        ("a/./b/../c.png", "a/b/c.webp"),
        ("", "image-0.webp"),
        ("..", "image-0.webp"),
        ("photos/", "photos/image-0.webp"),
        ("\x1b[2Ja\x00\n.png", "[2Ja.webp"),
        ("a\u202egnp.jpg", "agnp.webp"),
        ("a\udcff.png", "a_.webp"),
        ("con.png", "_con.webp"),
        ("nul/aux .tar.png", "_nul/_aux .tar.webp"),
        ("COM\u00b9", "_COM\u00b9.webp"),
        ("console.png", "console.webp"),
        ("dir. ./a.png. ", "dir/a.webp"),
        ('a<b>:"|?*.png', "a_b______.webp"),
        (".hidden", ".hidden.webp"),
        ("Dr. Smith", "Dr. Smith.webp"),
    ],
)
def test_a_hostile_or_odd_name_becomes_a_safe_one(name: str, path: str) -> None:
    assert paths([name], ONE) == [path]


def test_a_long_name_loses_of_its_stem_and_keeps_its_extensions() -> None:
    long = "\u00e4" * 300
    first, second = (PurePosixPath(p) for p in paths([f"{long}.jpg", f"{long}.png"], ONE))
    assert (first.suffixes, second.suffixes) == ([".jpg", ".webp"], [".png", ".webp"])
    assert len(first.name.encode()) <= MAX_COMPONENT_BYTES
    assert first.name.startswith("\u00e4" * 100)


def test_ten_thousand_equal_names_are_numbered_without_ten_thousand_tries_each() -> None:
    long = "x" * 240
    for names in (["a.jpg"] * 10_000, [f"{long}{number:05}.jpg" for number in range(10_000)]):
        assert len(set(paths(names, ONE))) == 10_000


def test_many_variants_take_no_more_memory_than_one() -> None:
    inputs = [(index, f"holiday/DSC_{index:05}.jpg") for index in range(1000)]
    variants = [(f"v{number:02}", "same") for number in range(32)]
    tracemalloc.start()
    ResultNames(inputs, variants)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4 << 20


def test_an_unknown_image_variant_or_format_is_a_key_error() -> None:
    results = ResultNames([(0, "a.jpg")], ONE)
    for index, variant, format_ in (
        (1, "standard", "webp"),
        (0, "x", "webp"),
        (0, "standard", "x"),
    ):
        with pytest.raises(KeyError):
            results.path(index, variant, format_)


def test_text_for_a_terminal_moves_no_cursor_and_hides_nothing() -> None:
    assert without_controls("a\x1b[31m\u009b\u202eb\u2028\ud800\n") == "a[31mb_"
    assert without_controls("Käse 写真 👩‍🚀.jpg") == "Käse 写真 👩‍🚀.jpg"


# names that like to collide, and names of anything
_PIECES = st.sampled_from(
    ["a", "A", "b", "-2", "-v", ".jpg", ".png", ".webp", ".", "..", "/", "\\", " ", "con", "é",
     "e\u0301", "\u202e", "\x00", "\udc80", "ß", "SS", ":", "C:"]
)  # fmt: skip
_NAMES = st.one_of(
    st.lists(_PIECES, max_size=6).map("".join),
    st.text(max_size=40),
    st.text(alphabet="xé写", min_size=200, max_size=300),
)
_VARIANTS = st.lists(
    st.tuples(
        st.sampled_from(["v", "v-v", "2", "a-v", "y" * 40]),
        st.sampled_from(["webp", "jpeg", "same"]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda variant: variant[0],
)


@given(st.lists(_NAMES, max_size=12), _VARIANTS, st.data())
def test_no_two_results_meet_whatever_they_turn_out_to_be(
    names: list[str], variants: Variants, data: st.DataObject
) -> None:
    results = ResultNames(enumerate(names), variants)
    formats = st.sampled_from(sorted(EXTENSIONS))
    made = []
    for index in range(len(names)):
        same = data.draw(formats)
        for variant, format_ in variants:
            made.append(results.path(index, variant, same if format_ == "same" else format_))
    keys = [compared(path) for path in made]
    assert len(set(keys)) == len(keys)
    folders = {str(parent) for key in keys for parent in PurePosixPath(key).parents}
    assert folders.isdisjoint(keys)


@given(st.lists(_NAMES, max_size=6), _VARIANTS)
def test_every_result_lies_inside_the_folder_on_every_system(
    names: list[str], variants: Variants
) -> None:
    for path in paths(names, variants):
        assert not PurePosixPath(path).is_absolute()
        assert not PureWindowsPath(path).anchor
        assert "\\" not in path
        assert without_controls(path) == path
        for part in path.split("/"):
            assert part not in {"", ".", ".."}
            assert len(part.encode()) <= MAX_COMPONENT_BYTES
            assert part == part.rstrip(". ")
            assert part.split(".")[0].rstrip().upper() not in _WINDOWS_DEVICES


@given(st.lists(_NAMES, max_size=8), _VARIANTS)
def test_the_same_job_gives_the_same_names_in_whatever_order_it_is_read(
    names: list[str], variants: Variants
) -> None:
    indexed = list(enumerate(names))
    shuffled = indexed[::-1]
    first = ResultNames(indexed, variants)
    second = ResultNames(shuffled, variants)
    for index, _ in indexed:
        for variant, _ in variants:
            assert first.path(index, variant, "png") == second.path(index, variant, "png")
