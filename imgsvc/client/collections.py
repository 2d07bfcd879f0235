"""What a server keeps by name for its users: presets and watermarks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from imgsvc.client.answers import Preset, Watermark
from imgsvc.client.connection import Connection
from imgsvc.client.upload import read_whole


class Collections:
    """That part of a client; it needs an open connection."""

    _connection: Connection

    async def presets(self) -> list[Preset]:
        answer = await self._connection.json("GET", "presets", key="items")
        return cast("list[Preset]", answer["items"])

    async def preset(self, name: str) -> Preset:
        return cast("Preset", await self._connection.json("GET", "presets", name, key="recipe"))

    async def save_preset(self, name: str, recipe: Mapping[str, Any]) -> Preset:
        """Give a recipe a name; a preset that has it is replaced, and no job changes.

        Raises ApiError `invalid_recipe` with the wrong places, `invalid_request` for what
        is no name, `preset_readonly` for the name of a built-in preset.
        """
        body = dict(recipe)
        answer = await self._connection.json("PUT", "presets", name, key="recipe", json=body)
        return cast("Preset", answer)

    async def delete_preset(self, name: str) -> None:
        """Raises ApiError `not_found`, and `preset_readonly` for a built-in preset."""
        await self._connection.delete("presets", name)

    async def watermarks(self) -> list[Watermark]:
        """The pictures that recipes may name, by name."""
        answer = await self._connection.json("GET", "watermarks", key="items")
        return cast("list[Watermark]", answer["items"])

    async def watermark(self, name: str) -> Watermark:
        answer = await self._connection.json("GET", "watermarks", name, key="sha256")
        return cast("Watermark", answer)

    async def save_watermark(self, name: str, picture: Path | bytes) -> Watermark:
        """Keep a picture under a name; one that has it is replaced, and no job changes.

        picture: a file, or its bytes, in any format that the server reads. Raises
        LocalFileError, and ApiError with the image's code for what is no picture.
        """
        data = picture if isinstance(picture, bytes) else await read_whole(picture)
        headers = {"Content-Type": "application/octet-stream"}
        answer = await self._connection.json(
            "PUT", "watermarks", name, key="sha256", data=data, headers=headers
        )
        return cast("Watermark", answer)

    async def delete_watermark(self, name: str) -> None:
        """Jobs that were submitted with it are not touched. Raises ApiError `not_found`."""
        await self._connection.delete("watermarks", name)
