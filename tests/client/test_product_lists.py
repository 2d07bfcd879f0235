"""Product lists, sent off by the client."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsvc.client import ApiError, Client, LocalFileError

HEADER = "S. No.,Product Name,Input Image Urls"
TABLE = f"{HEADER}\n1,Größe,http://127.0.0.1:9/a.jpg\n"


async def test_a_list_is_sent_with_its_options(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(TABLE, encoding="utf-8")
    recipe = {"variants": [{"name": "tiny", "width": 10}]}
    job = await client.submit_list(file, recipe=recipe, label="autumn", priority="low")
    assert (job["source"], job["label"], job["priority"], job["total"]) == (
        "csv", "autumn", "low", 1,
    )  # fmt: skip
    assert job["recipe"]["variants"][0]["width"] == 10


async def test_a_list_in_another_encoding_says_so(client: Client) -> None:
    content = TABLE.encode("cp1252")
    with pytest.raises(ApiError, match="not UTF-8") as caught:
        await client.submit_list(content)
    assert caught.value.code == "invalid_csv"
    job = await client.submit_list(content, charset="windows-1252")
    assert job["total"] == 1


async def test_all_of_many_faults_are_heard_of(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        await client.submit_list((f"{HEADER}\n" + "x,,y\n" * 9000).encode())
    assert len(caught.value.errors) == 27_000


async def test_a_list_that_is_not_there_is_told_by_name(client: Client, tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match=r"no\.csv"):
        await client.submit_list(tmp_path / "no.csv")
