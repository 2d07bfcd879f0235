"""One server for the tests of a module, in the module's own event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.servers import Running, make_settings, running_server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    limits = {"max_image_bytes": 1 << 20, "max_images_per_job": 8, "max_json_bytes": 4 << 20}
    settings = make_settings(tmp_path_factory.mktemp("data"), limits=limits)
    async with running_server(settings) as running:
        yield running
