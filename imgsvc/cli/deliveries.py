"""`imgsvc deliveries`, `redeliver`: what was sent to a job's webhook, and once more."""

from __future__ import annotations

from contextlib import aclosing

import click

from imgsvc.cli.arguments import job_argument, refuse_empty
from imgsvc.cli.output import count_text, json_option, print_json, print_rows, say, time_text
from imgsvc.cli.session import talks_to_server
from imgsvc.client import Client, Delivery

_NONE = "The job has no webhook, or no message for it yet."


@click.command()
@job_argument
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@json_option
@talks_to_server
async def deliveries(client: Client, job_id: str, limit: int, as_json: bool) -> None:
    """List what was sent to a job's webhook, or is to be, newest first."""
    found: list[Delivery] = []
    async with aclosing(client.deliveries(job_id)) as items:
        async for item in items:
            found.append(item)
            if len(found) == limit:
                break
    if as_json:
        print_json(found)
        return
    if not found:
        say(_NONE)
        return
    print_rows(
        ("ID", "Event", "Status", "Tries", "Last answer", "Next try", "Created"),
        [
            (
                item["id"],
                item["event"],
                item["status"],
                str(item["attempts"]),
                _answer_text(item),
                time_text(item["next_attempt_at"]),
                time_text(item["created_at"]),
            )
            for item in found
        ],
        yielding=("Created", "Next try", "Tries", "Event", "Last answer", "Status"),
    )


@click.command()
@job_argument
@click.argument("delivery_id", metavar="[DELIVERY]", required=False, callback=refuse_empty)
@json_option
@talks_to_server
async def redeliver(client: Client, job_id: str, delivery_id: str | None, as_json: bool) -> None:
    """Send a message to a job's webhook again; without DELIVERY all that have not arrived."""
    none = _NONE
    if delivery_id is None:
        async with aclosing(client.deliveries(job_id)) as items:
            found = [item async for item in items]
        ids = [item["id"] for item in reversed(found) if item["status"] != "delivered"]
        none = "All messages have arrived; none is sent again." if found else _NONE
    else:
        ids = [delivery_id]
    sent = [await client.redeliver(job_id, id_) for id_ in ids]
    if as_json:
        print_json(sent)
    else:
        say(f"{count_text(len(sent), 'message')} will be sent again." if sent else none)


def _answer_text(item: Delivery) -> str:
    """`410 gone`, `timeout`, `200`; nothing before the first try."""
    status, error = item["last_status"], item["last_error"]
    return " ".join(str(part) for part in (status, error) if part is not None)
