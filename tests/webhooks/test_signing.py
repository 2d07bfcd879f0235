"""Signatures, checked by the standard's own example, by its library, and by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from imgsvc.domain.webhook import check_secret
from imgsvc.webhooks.signing import message_headers
from tests.receivers import OTHER_SECRET, SECRET

BODY = '{"test": 2432232314}'


def test_the_example_of_the_standard_comes_out_the_same() -> None:
    headers = message_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, [SECRET], 1614265330)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_signature_is_a_mac_of_id_time_and_body() -> None:
    headers = message_headers("a", BODY, [OTHER_SECRET], 7)
    key = base64.b64decode(OTHER_SECRET.removeprefix("whsec_"))
    mac = hmac.new(key, b"a.7." + BODY.encode(), hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


def test_while_secrets_change_receivers_with_either_can_verify() -> None:
    headers = message_headers("a", BODY, [SECRET, OTHER_SECRET], int(time.time()))
    assert headers["webhook-signature"].count(" ") == 1
    for secret in (SECRET, OTHER_SECRET):
        assert Webhook(secret).verify(BODY, headers) == {"test": 2432232314}
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "bm9ib2R5" * 4).verify(BODY, headers)


def test_without_a_secret_a_message_says_that_it_is_not_signed() -> None:
    assert set(message_headers("a", BODY, [], 7)) == {"webhook-id", "webhook-timestamp"}


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_holds_24_to_64_bytes(size: int) -> None:
    secret = "whsec_" + base64.b64encode(bytes(range(size))).decode()
    assert check_secret(secret) == secret


@pytest.mark.parametrize(
    "secret",
    [
        "", "whsec_", "hunter2", SECRET.removeprefix("whsec_"), SECRET + "\n", SECRET[:-1],
        SECRET + "!", "whsec_" + "\u00e4" * 32, "whpk_" + SECRET[6:],
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
    ],
)  # fmt: skip
def test_what_is_no_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match=r"^Must be whsec_ and 24 to 64 bytes in base64\.$"):
        check_secret(secret)
