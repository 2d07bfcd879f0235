"""The limit of images that wait holds however many clients send at a time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.runtime.faulty import fault, render
from tests.servers import form_of, get_json, make_settings, running_server
from tests.workers.conftest import Gate


async def test_no_more_images_wait_than_allowed(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    word, _, rest = gate.content.partition(" ")
    settings = make_settings(tmp_path / "data", limits={"max_pending_images": 5})
    spec = json.dumps({"reuse": False})
    async with running_server(settings, render) as server:

        async def post() -> int:
            form = form_of(*[(f"{n}.jpg", fault(word, rest)) for n in range(3)], spec=spec)
            async with server.http.post("/api/v1/jobs", data=form) as answer:
                if answer.status != 202:
                    assert (await answer.json())["code"] == "queue_full"
                    assert answer.headers["Retry-After"]
                return answer.status

        statuses = await asyncio.gather(*[post() for _ in range(10)])
        assert set(statuses) == {202, 429}
        info = await get_json(server, "/api/v1/info")
        assert info["queue"]["pending_images"] == 3 * statuses.count(202) <= 5
        gate.open(5)
    gate.close()
