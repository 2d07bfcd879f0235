"""What can be read and written is what the workers say."""

from __future__ import annotations

import asyncio

import pytest

from imgsvc.domain.formats import Formats
from imgsvc.imaging.formats import list_formats
from imgsvc.workers.child import import_imaging
from imgsvc.workers.engine import PoolBroken, PoolClosed
from tests.workers import faults
from tests.workers.conftest import Pools


async def test_the_formats_are_those_that_a_worker_names_when_it_is_warm(open_pool: Pools) -> None:
    pool = await open_pool(warm_up=import_imaging)
    assert await pool.pool.formats() == list_formats()


async def test_workers_that_render_nothing_of_ours_name_no_formats(open_pool: Pools) -> None:
    pool = await open_pool()
    assert await pool.pool.formats() == Formats()


async def test_who_waits_for_the_formats_of_a_pool_that_ends_is_told(open_pool: Pools) -> None:
    pool = await open_pool(warm_up=faults.never_end)
    asking = asyncio.create_task(pool.pool.formats())
    await asyncio.sleep(0)
    await pool.pool.drain(0)
    with pytest.raises(PoolClosed):
        await asking


async def test_who_waits_for_the_formats_of_a_pool_that_breaks_is_told(open_pool: Pools) -> None:
    pool = await open_pool(warm_up=faults.die_at_once)
    with pytest.raises(PoolBroken):
        await pool.pool.formats()
    with pytest.raises(PoolBroken):
        await pool.end()
