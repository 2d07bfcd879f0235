from __future__ import annotations

import pytest

from imgsvc.client import ApiError, BytesUpload, Client, SyncClient
from tests.client.pictures import picture
from tests.server_process import ServerProcess

TINY = {"variants": [{"name": "tiny", "width": 8, "format": "png"}]}


async def test_a_preset_is_saved_used_and_deleted(client: Client) -> None:
    saved = await client.save_preset("mine", TINY)
    assert (saved["name"], saved["readonly"], saved["recipe"]) == ("mine", False, TINY)
    assert await client.preset("mine") == saved
    assert saved in await client.presets()
    job = await client.submit([BytesUpload(picture(), "a.png")], preset="mine")
    assert (job["preset"], job["recipe"]) == ("mine", TINY)
    await client.delete_preset("mine")
    assert "mine" not in {preset["name"] for preset in await client.presets()}
    assert (await client.wait(job["id"]))["completed"] == 1


async def test_refusals_carry_their_code_and_place(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        await client.save_preset("mine", {"variants": [{"name": "v", "width": 0}]})
    assert caught.value.code == "invalid_recipe"
    assert [fault.pointer for fault in caught.value.errors] == ["/variants/0/width"]
    with pytest.raises(ApiError) as caught:
        await client.delete_preset("web")
    assert caught.value.code == "preset_readonly"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../jobs", "naïve", "%2e"])
async def test_a_name_is_never_read_as_another_address(client: Client, name: str) -> None:
    for call in (client.preset, client.delete_preset):
        with pytest.raises(ApiError) as caught:
            await call(name)
        assert caught.value.code in {"not_found", "method_not_allowed"}


def test_without_asyncio_it_is_the_same(server: ServerProcess) -> None:
    with SyncClient(server.url) as client:
        saved = client.save_preset("plain", TINY)
        assert client.preset("plain") == saved
        client.delete_preset("plain")
        with pytest.raises(ApiError):
            client.preset("plain")
