"""`imgsvc submit --webhook`, `deliveries`, `redeliver`: the server here asks nobody inside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from imgsvc.cli.webhook_addresses import is_asked_by_default
from imgsvc.client import Client
from imgsvc.domain.ids import new_id
from tests.cli.conftest import Run

INSIDE = "http://127.0.0.1:8080/hook"


def test_messages_of_a_job_are_listed_and_sent_again(imgsvc: Run, photos: Path) -> None:
    job_id = imgsvc("submit", photos, "--webhook", INSIDE, "--wait").stdout.strip()
    while (found := imgsvc("deliveries", job_id, "--json").document)[0]["status"] == "pending":
        pass
    assert (len(found), found[0]["last_error"]) == (1, "blocked")
    listed = imgsvc("deliveries", job_id).stdout
    assert f"{found[0]['id']}\tjob.finished\tfailed\t1\tblocked" in listed
    one = imgsvc("redeliver", job_id, found[0]["id"], "--json")
    assert [item["id"] for item in one.document] == [found[0]["id"]]
    again = imgsvc("redeliver", job_id)
    assert (again.exit_code, again.stderr) == (0, "1 message will be sent again.\n")


def test_a_webhook_that_may_never_be_asked_is_said(imgsvc: Run, photos: Path) -> None:
    ran = imgsvc("submit", photos, "--webhook", INSIDE)
    assert ran.exit_code == 0
    assert f": imgsvc deliveries {ran.stdout}" in ran.stderr


@pytest.mark.parametrize(
    ("url", "is_asked"),
    [
        ("https://shop.example/hook", True),
        ("http://8.8.8.8:8080/hook", True),
        ("http://[::1]/", False),
        ("http://localhost:8080/", False),
        ("https://shop.example:22/", False),
    ],
)
def test_which_those_are_is_seen_without_a_lookup(url: str, is_asked: bool) -> None:
    assert is_asked_by_default(url) == is_asked


def test_a_limit_cuts_the_list(imgsvc: Run, photos: Path) -> None:
    job_id = imgsvc("submit", photos, "--webhook", INSIDE, "--wait").stdout.strip()
    assert len(imgsvc("deliveries", job_id, "--limit", "1", "--json").document) == 1


def test_without_a_webhook_there_is_nothing_to_send_again(imgsvc: Run, photos: Path) -> None:
    job_id = imgsvc("submit", photos).stdout.strip()
    assert imgsvc("deliveries", job_id, "--json").document == []
    listed, again = imgsvc("deliveries", job_id), imgsvc("redeliver", job_id)
    said = "The job has no webhook, or no message for it yet.\n"
    assert (listed.exit_code, listed.stdout, listed.stderr) == (0, "", said)
    assert (again.exit_code, again.stderr) == (0, said)


def test_where_all_has_arrived_nothing_is_sent_again(
    imgsvc: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def arrived(*_: object) -> AsyncIterator[dict[str, str]]:
        yield {"id": new_id(), "status": "delivered"}

    monkeypatch.setattr(Client, "deliveries", arrived)
    assert (
        imgsvc("redeliver", new_id()).stderr == "All messages have arrived; none is sent again.\n"
    )


def test_what_does_not_exist_is_told(imgsvc: Run, photos: Path) -> None:
    assert imgsvc("deliveries", new_id()).exit_code == 2
    job_id = imgsvc("submit", photos).stdout.strip()
    assert imgsvc("redeliver", job_id, new_id()).exit_code == 2
    refused = imgsvc("submit", photos, "--webhook", "nonsense")
    assert (refused.exit_code, "http or https URL" in refused.stderr) == (2, True)
