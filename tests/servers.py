"""Real servers for tests: in this process, or in one of their own that can be killed."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from imgsvc.config import FolderSettings, Settings, load_settings
from imgsvc.runtime.core import Core
from imgsvc.runtime.server import open_server
from imgsvc.store.writer import Transaction
from imgsvc.workers.child import render_image
from tests.descriptions import checked_response
from tests.runtime.faulty import unconfined


def make_settings(
    data_dir: Path, folders: Sequence[FolderSettings] = (), **sections: dict[str, Any]
) -> Settings:
    """Settings fit for a test: a free port, one worker, no reserve of disk."""
    flags: dict[str, dict[str, Any]] = {
        "server": {"port": 0, "shutdown_grace_s": 10, **sections.get("server", {})},
        "storage": {"data_dir": data_dir, "reserve_bytes": 0, **sections.get("storage", {})},
        "workers": {"size": 1, **sections.get("workers", {})},
        "limits": sections.get("limits", {}),
        "retention": sections.get("retention", {}),
        "webhooks": sections.get("webhooks", {}),
        "fetch": sections.get("fetch", {}),
        "log": {"level": "error"},
    }
    settings = load_settings(environ={}, flags=flags)
    return settings.model_copy(update={"folders": tuple(folders)})


@dataclass
class Running:
    """A server in this process, and a session to talk to it."""

    core: Core
    url: str
    http: aiohttp.ClientSession


@asynccontextmanager
async def running_server(settings: Settings, render: Any = render_image) -> AsyncIterator[Running]:
    if render is not render_image:
        settings = unconfined(settings)
    async with (
        open_server(settings, render) as (core, url),
        aiohttp.ClientSession(
            base_url=url, response_class=checked_response(settings.limits)
        ) as http,
    ):
        yield Running(core, url, http)


def form_of(*files: tuple[str, bytes], **fields: str) -> aiohttp.FormData:
    """A form with fields first and then files, as (name, bytes)."""
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    for name, content in files:
        form.add_field("files", io.BytesIO(content), filename=name)
    return form


async def submit(server: Running, *files: tuple[str, bytes], **fields: str) -> dict[str, Any]:
    """Submit files as a form and wait for the end: the job."""
    headers = {"Prefer": "wait=50"}
    async with server.http.post(
        "/api/v1/jobs", data=form_of(*files, **fields), headers=headers
    ) as answer:
        job: dict[str, Any] = await answer.json()
        assert answer.status == 200, job
        return job


async def get_json(server: Running, path: str, status: int = 200) -> Any:
    async with server.http.get(path) as answer:
        content = await answer.json()
        assert answer.status == status, content
        return content


def leftovers(data_dir: Path) -> list[str]:
    """What stands in a data folder besides the database and what workers have said."""
    found = [
        str(Path(folder, name))
        for part in ("jobs", "slots")
        for folder, folders, names in os.walk(data_dir / part)  # takes no harm from what goes
        for name in (*names, *(folders if part == "jobs" else ()))
    ]
    return [path for path in found if "/process-" not in path]


async def until_nothing_is_left(data_dir: Path) -> None:
    """An answer is sent before what it needed is cleared away."""
    while leftovers(data_dir):  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)


async def spoil_outputs(server: Running, job_id: str, name: str) -> None:
    """Let an image's record name a variant that no recipe has."""

    async def spoil(tx: Transaction) -> None:
        await tx.fetch(
            "UPDATE images SET outputs = json_set(outputs, '$[0][0]', 'nobody')"
            " WHERE job_id = :job_id AND name = :name",
            {"job_id": job_id, "name": name},
        )

    await server.core.store._writer.apply(spoil)
