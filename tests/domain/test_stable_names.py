from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from imgsvc.domain.names import ResultNames
from imgsvc.domain.stable_names import StableNames

ONE = [("v", "webp")]
SAME = [("v", "same")]
TWO = [("x", "webp"), ("x-x", "webp")]

NAMES = st.lists(
    st.text("abA.-/ x", min_size=1, max_size=8).map(lambda text: f"{text}.jpg"),
    unique=True,
    max_size=12,
)


def paths(
    names: StableNames, inputs: list[str], variant: str = "v", format_: str = "webp"
) -> list[str]:
    return [names.path(choice, variant, format_) for choice in names.choose(inputs)]


def test_a_result_has_the_stem_of_its_input() -> None:
    assert paths(StableNames(ONE), ["a.jpg", "d/b.png"]) == ["a.webp", "d/b.webp"]


def test_inputs_that_come_together_and_collide_keep_their_whole_names() -> None:
    assert paths(StableNames(ONE), ["a.jpg", "a.png"]) == ["a.jpg.webp", "a.png.webp"]


def test_a_newcomer_that_would_collide_keeps_its_whole_name_alone() -> None:
    names = StableNames(ONE)
    assert paths(names, ["a.jpg"]) == ["a.webp"]
    assert paths(names, ["A.png"]) == ["A.png.webp"]
    assert paths(names, ["a.png"]) == ["a.png-2.webp"]


def test_what_was_chosen_before_a_restart_is_still_taken() -> None:
    (choice,) = StableNames(ONE).choose(["a.jpg"])
    names = StableNames(ONE)
    names.keep(choice)
    assert paths(names, ["a.png"]) == ["a.png.webp"]


def test_results_of_the_same_format_stand_beside_each_other() -> None:
    names = StableNames(SAME)
    (jpeg,) = names.choose(["a.jpg"])
    (png,) = names.choose(["a.png"])
    assert names.path(jpeg, "v", "jpeg") == "a.jpg"
    assert names.path(png, "v", "png") == "a.png"
    assert names.path(jpeg, "v", "png") == "a.jpg.png"


def test_a_variants_name_cannot_bring_two_results_together() -> None:
    names = StableNames(TWO)
    (first,) = names.choose(["a.jpg"])
    (second,) = names.choose(["a-x.jpg"])
    made = {names.path(one, v, "webp") for one in (first, second) for v in ("x", "x-x")}
    assert len(made) == 4


def test_a_name_that_is_no_text_can_be_kept() -> None:
    (choice,) = StableNames(ONE).choose(["a\udcff.jpg"])
    choice.encode()
    assert json.loads(choice) == ["a_"]


@given(NAMES, st.integers(0, 12))
def test_no_two_inputs_ever_share_a_result(inputs: list[str], cut: int) -> None:
    names = StableNames(TWO)
    choices = [*names.choose(inputs[:cut]), *names.choose(inputs[cut:])]
    made = [names.path(choice, v, "webp").lower() for choice in choices for v in ("x", "x-x")]
    assert len(made) == len(set(made))


@given(NAMES)
def test_what_comes_all_together_and_differs_is_named_as_in_a_job(inputs: list[str]) -> None:
    job = ResultNames(enumerate(inputs), ONE)
    named = [job.path(index, "v", "webp") for index in range(len(inputs))]
    if all("-2" not in name and ".jpg." not in name for name in named):
        assert paths(StableNames(ONE), inputs) == named
