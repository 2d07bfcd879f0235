"""Idempotency keys: committed with what their request did, and its answer after it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imgsvc.store.rows import dump_json
from imgsvc.store.sql import KEYS
from imgsvc.store.writer import Transaction


@dataclass(frozen=True, slots=True)
class NewKey:
    """fingerprint: what is the same for the same payload. expires_at: milliseconds since 1970."""

    key: str
    fingerprint: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key whose request was committed.

    accepted: index and name of the images it appended; None when it made the job.
    answer: what it was answered; None when the server went down before that.
    """

    fingerprint: str
    job_id: str
    accepted: tuple[tuple[int, str], ...] | None
    answer: dict[str, Any] | None


async def insert_key(
    tx: Transaction,
    new: NewKey,
    job_id: str,
    accepted: Sequence[tuple[int, str]] | None = None,
) -> None:
    """To be called in the transaction that makes the request's work visible."""
    await tx.fetch(
        KEYS["insert_key"],
        {
            "key": new.key,
            "fingerprint": new.fingerprint,
            "job_id": job_id,
            "accepted": None if accepted is None else dump_json(list(accepted)),
            "expires_at": new.expires_at,
        },
    )


async def record_answer(tx: Transaction, key: str, answer: dict[str, Any]) -> None:
    """Keep what the first request was answered, for those that repeat it."""
    await tx.fetch(KEYS["record_answer"], {"key": key, "answer": dump_json(answer)})


async def forget_keys(tx: Transaction, now_ms: int, limit: int) -> int:
    """Remove keys whose time is over; returns how many."""
    return len(await tx.fetch(KEYS["forget_keys"], {"now_ms": now_ms, "limit": limit}))


def key_from_row(row: Sequence[str | None]) -> KnownKey:
    fingerprint, job_id, accepted, answer = row
    if fingerprint is None or job_id is None:
        raise ValueError("a key without fingerprint or job")
    return KnownKey(
        fingerprint,
        job_id,
        None if accepted is None else tuple((index, name) for index, name in json.loads(accepted)),
        None if answer is None else json.loads(answer),
    )
