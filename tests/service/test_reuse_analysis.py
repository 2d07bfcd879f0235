"""An image that is linked from earlier ones is as much analysed as one that is made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.pictures import make_jpeg
from tests.servers import Running, get_json, make_settings, running_server, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = {"name": "small", "width": 16, "format": "png"}
LARGE = {"name": "large", "width": 32, "format": "webp"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    settings = make_settings(tmp_path_factory.mktemp("data"), workers={"size": 2})
    async with running_server(settings) as running:
        yield running


def _picture(seed: int) -> bytes:
    return make_jpeg(64 + seed, 48)


async def _submit(
    server: Running, *pictures: bytes, variants: list[dict[str, Any]], analyze: bool = True
) -> list[dict[str, Any]]:
    spec = json.dumps({"recipe": {"variants": variants}, "analyze": analyze})
    files = [(f"{n}.jpg", picture) for n, picture in enumerate(pictures)]
    job = await submit(server, *files, spec=spec)
    images: list[dict[str, Any]] = (await get_json(server, job["links"]["images"]))["items"]
    return images


def _reused(*images: dict[str, Any]) -> list[bool]:
    return [output["reused"] for image in images for output in image["outputs"]]


async def test_a_linked_image_has_the_analysis_of_the_earlier_one(server: Running) -> None:
    (first,) = await _submit(server, _picture(1), variants=[SMALL, LARGE])
    (second,) = await _submit(server, _picture(1), variants=[LARGE])
    assert _reused(first, second) == [False, False, True]
    assert second["analysis"] == first["analysis"]
    assert first["analysis"] is not None


async def test_what_was_not_analysed_is_made_again_once_it_is_to_be(server: Running) -> None:
    (plain,) = await _submit(server, _picture(2), variants=[SMALL], analyze=False)
    (wanted,) = await _submit(server, _picture(2), variants=[SMALL])
    (again,) = await _submit(server, _picture(2), variants=[SMALL])
    assert _reused(plain, wanted, again) == [False, False, True]
    assert plain["analysis"] is None
    assert wanted["analysis"] == again["analysis"]
    assert wanted["analysis"] is not None


async def test_an_analysed_image_serves_those_who_want_no_analysis(server: Running) -> None:
    await _submit(server, _picture(3), variants=[SMALL])
    (plain,) = await _submit(server, _picture(3), variants=[SMALL], analyze=False)
    assert (_reused(plain), plain["analysis"]) == ([True], None)


async def test_a_later_image_without_analysis_does_not_hide_it(server: Running) -> None:
    await _submit(server, _picture(4), variants=[SMALL])
    await _submit(server, _picture(4), variants=[SMALL], analyze=False)
    (third,) = await _submit(server, _picture(4), variants=[SMALL])
    assert _reused(third) == [True]
    assert third["analysis"] is not None


async def test_an_image_of_which_a_part_is_made_is_analysed_with_it(server: Running) -> None:
    await _submit(server, _picture(5), variants=[SMALL])
    (image,) = await _submit(server, _picture(5), variants=[SMALL, LARGE])
    assert _reused(image) == [True, False]
    assert image["analysis"] is not None


async def test_equal_images_that_come_at_once_are_made_once_for_each_wish(server: Running) -> None:
    pictures = [_picture(6)] * 20
    groups = await asyncio.gather(
        *(_submit(server, *pictures, variants=[SMALL], analyze=n % 2 == 0) for n in range(4))
    )
    assert _reused(*(image for images in groups for image in images)).count(False) <= 2
    for n, images in enumerate(groups):
        assert {image["analysis"] is not None for image in images} == {n % 2 == 0}
