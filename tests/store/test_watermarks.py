"""Names, files, and jobs that need a file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imgsvc.domain.watermark import KeptWatermark
from imgsvc.errors import InvalidRecipe, InvalidRequest, NotFound
from imgsvc.store.store import Store
from tests.store.builders import new_job

ONE, OTHER = "1" * 64, "2" * 64


def kept(name: str, sha256: str = ONE, updated_at: int = 5) -> KeptWatermark:
    return KeptWatermark(name, sha256, 20, 10, 300, updated_at)


def job_with(*sha256s: str) -> Any:
    variants = [
        {"name": f"v{n}", "watermark": {"preset_image": "a", "sha256": sha256}}
        for n, sha256 in enumerate(sha256s)
    ]
    return new_job(recipe=json.dumps({"variants": variants}, separators=(",", ":")))


async def test_a_name_is_saved_replaced_listed_and_deleted(store: Store) -> None:
    assert await store.save_watermark(kept("b"), most=9) is True
    assert await store.save_watermark(kept("a"), most=9) is True
    assert await store.save_watermark(kept("b", OTHER, 6), most=9) is False
    assert await store.watermarks() == [kept("a"), kept("b", OTHER, 6)]
    assert await store.watermark("b") == kept("b", OTHER, 6)
    assert await store.watermark_digests({"a", "b", "c"}) == {"a": ONE, "b": OTHER}
    assert await store.delete_watermark("b") is True
    assert await store.delete_watermark("b") is False
    assert await store.watermark("b") is None


async def test_one_name_too_many_is_refused_and_leaves_no_file(store: Store) -> None:
    await store.save_watermark(kept("a"), most=1)
    with pytest.raises(InvalidRequest):
        await store.save_watermark(kept("b", OTHER), most=1)
    assert await store.watermark_files() == {ONE}
    assert await store.save_watermark(kept("a", OTHER), most=1) is False


async def test_a_file_is_forgotten_with_the_last_name_and_job(store: Store) -> None:
    await store.save_watermark(kept("a"), most=9)
    await store.save_watermark(kept("b"), most=9)
    await store.save_watermark(kept("c", OTHER), most=9)
    job = await store.create_job(job_with(ONE, ONE, OTHER), [], 1)
    for name in "abc":
        await store.delete_watermark(name)
        assert await store.forget_watermark_files() == []
    await store.delete_job(job.id)
    assert sorted(await store.forget_watermark_files()) == [ONE, OTHER]
    assert await store.watermark_files() == set()


async def test_a_job_whose_file_is_gone_is_not_stored(store: Store) -> None:
    await store.save_watermark(kept("a"), most=9)
    job = job_with(ONE, OTHER)
    with pytest.raises(InvalidRecipe):
        await store.create_job(job, [], 1)
    with pytest.raises(NotFound):
        await store.job(job.id)
    await store.delete_watermark("a")
    assert await store.forget_watermark_files() == [ONE]
