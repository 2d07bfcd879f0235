"""The headers of a message, its signatures among them (Standard Webhooks 1.0)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook as Signer


def message_headers(
    message_id: str, body: str, secrets: Sequence[str], now_s: int
) -> dict[str, str]:
    """Signed for a try at `now_s`, seconds since 1970: receivers refuse what was signed long ago.

    secrets: each signs, so that receivers can change from one to the next; with none the
    message has no signature.
    """
    moment = datetime.fromtimestamp(now_s, UTC)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(now_s)}
    if secrets:
        headers["webhook-signature"] = " ".join(
            Signer(secret).sign(message_id, moment, body) for secret in secrets
        )
    return headers
