from __future__ import annotations

import pytest

from imgsvc.client.errors import ServerUnreachable
from imgsvc.domain.input_names import name_of_url
from imgsvc.domain.logins import without_login


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@example.org/a.jpg?b#c", "https://***@example.org/a.jpg?b#c"),
        ("https://user@example.org:8443", "https://***@example.org:8443"),
        ("https://us@er:sec@ret@example.org/@a", "https://***@example.org/@a"),
        ("//user:secret@example.org/", "//***@example.org/"),
        ("https://user:sec/ret@example.org/a.jpg", "https://***@example.org/a.jpg"),
        ("https://user:sec?ret@example.org/", "https://***@example.org/"),
        ("https://user:sec\nret@example.org/", "https://***@example.org/"),
        ("https:/\\user:secret@example.org/", "https://***@example.org/"),
        ("http:user:secret@example.org", "http://***@example.org"),
        ("user:secret@example.org", "user://***@example.org"),
    ],
)
def test_a_login_is_not_shown(url: str, shown: str) -> None:
    assert without_login(url) == shown
    assert "ret" not in (name_of_url(url) or "")


@pytest.mark.parametrize(
    "url",
    ["https://example.org/@user/a@2x.jpg?to=me@example.org", "http://[::1]:80/", "", "a.jpg"],
)
def test_what_holds_no_login_stays_as_it_is(url: str) -> None:
    assert without_login(url) == url


def test_a_server_that_is_away_is_named_without_its_login() -> None:
    error = ServerUnreachable("https://user:secret@example.org", "no route")
    assert str(error) == "No imgsvc server answers at https://***@example.org: no route"
