"""What a client asks for."""

from __future__ import annotations

from typing import Any

import pytest

from imgsvc.domain.states import Priority
from imgsvc.errors import InvalidRequest
from imgsvc.intake.faults import MAX_FAULTS
from imgsvc.intake.spec import parse_fields, parse_spec


def pointers(document: object, **options: bool) -> list[str]:
    with pytest.raises(InvalidRequest) as refusal:
        parse_spec(document, **options)
    return [fault.pointer for fault in refusal.value.faults]


def test_an_empty_document_has_the_defaults() -> None:
    spec = parse_spec({})

    assert (spec.images, spec.preset, spec.recipe, spec.label) == ([], None, None, None)
    assert (spec.priority, spec.open, spec.webhook, spec.retain_s) == (
        Priority.NORMAL,
        False,
        None,
        None,
    )
    assert (spec.analyze, spec.reuse) == (True, True)
    assert spec.model_fields_set == set()


def test_a_whole_document_is_read() -> None:
    spec = parse_spec(
        {
            "images": [{"data": "lifted-0", "name": "d\\a.jpg"}, {"url": "https://x/b.jpg"}],
            "recipe": {"variants": "judged elsewhere"},
            "label": "autumn \u00fc",
            "priority": "high",
            "open": True,
            "webhook": {"url": "https://x/hook", "events": ["job.finished"]},
            "retain_s": 0,
            "analyze": False,
            "reuse": False,
        }
    )

    assert [(i.data, i.url, i.name) for i in spec.images] == [
        ("lifted-0", None, "d/a.jpg"),
        (None, "https://x/b.jpg", None),
    ]
    assert (spec.preset, spec.recipe) == (None, {"variants": "judged elsewhere"})
    assert (spec.priority, spec.open, spec.retain_s) == (Priority.HIGH, True, 0)
    assert spec.webhook is not None
    assert (spec.webhook.url, spec.webhook.events) == ("https://x/hook", ["job.finished"])
    assert (spec.analyze, spec.reuse) == (False, False)


@pytest.mark.parametrize("url", ["", "y\0", "\ud800", "ftp://x", "x" * 100_000])
def test_a_url_is_not_judged_here(url: str) -> None:
    assert parse_spec({"images": [{"url": url}]}).images[0].url == url


def test_null_is_as_good_as_absent() -> None:
    nulls = dict.fromkeys(["preset", "recipe", "label", "webhook", "retain_s"])

    assert parse_spec(nulls) == parse_spec({})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], [""]),
        ("text", [""]),
        (None, [""]),
        ({"colour": 1}, ["/colour"]),
        ({"a/b~c": 1}, ["/a~1b~0c"]),
        ({"\ud800": 1}, [""]),
        ({"images": {}}, ["/images"]),
        ({"images": None}, ["/images"]),
        ({"images": [{"data": "x"}] * 3 + [{}]}, ["/images/3"]),
        ({"images": [{"data": "x", "url": "y"}]}, ["/images/0"]),
        ({"images": [{"url": "y", "x": 1}, {"data": 7}]}, ["/images/0/x"]),
        ({"images": [{"url": "y", "name": "n" * 256}]}, ["/images/0/name"]),
        ({"images": [{"url": "y", "name": "\ud800"}]}, ["/images/0/name"]),
        ({"images": [{"url": "y", "name": "nul \0"}]}, ["/images/0/name"]),
        ({"images": ["y"]}, ["/images/0"]),
        ({"preset": "standard", "recipe": {}}, ["/recipe"]),
        ({"preset": 1}, ["/preset"]),
        ({"preset": "\ud800"}, ["/preset"]),
        ({"label": "x" * 201}, ["/label"]),
        ({"label": "nul \0"}, ["/label"]),
        ({"label": "lone \udfff"}, ["/label"]),
        ({"priority": "urgent"}, ["/priority"]),
        ({"priority": 1}, ["/priority"]),
        ({"priority": ["high"]}, ["/priority"]),
        ({"priority": None}, ["/priority"]),
        ({"open": "true"}, ["/open"]),
        ({"open": 1}, ["/open"]),
        ({"retain_s": -1}, ["/retain_s"]),
        ({"retain_s": 1.5}, ["/retain_s"]),
        ({"retain_s": True}, ["/retain_s"]),
        ({"retain_s": 10**30}, ["/retain_s"]),
        ({"webhook": {}}, ["/webhook/url"]),
        ({"webhook": {"url": "ftp://x"}}, ["/webhook/url"]),
        ({"webhook": {"url": "http://a\\b.example/"}}, ["/webhook/url"]),
        ({"webhook": {"url": "http://127.1/"}}, ["/webhook/url"]),
        ({"webhook": {"url": "http://a.example/\u202egpj.x"}}, ["/webhook/url"]),
        ({"webhook": {"url": "https://x", "events": []}}, ["/webhook/events"]),
        ({"webhook": {"url": "https://x", "events": ["x"]}}, ["/webhook/events/0"]),
        ({"webhook": {"url": "https://x", "secret": "x"}}, ["/webhook/secret"]),
    ],
)
def test_a_wrong_place_is_pointed_at(document: Any, expected: list[str]) -> None:
    assert pointers(document) == expected


def test_images_are_refused_where_they_come_as_files() -> None:
    assert pointers({"images": [{"url": "y"}]}, takes_images=False) == ["/images"]
    assert parse_spec({"images": []}, takes_images=False).images == []


def test_the_number_of_faults_told_is_bounded() -> None:
    assert len(pointers({"images": [{}] * 5000})) == MAX_FAULTS


def test_what_was_sent_is_not_repeated() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_spec({"label": ["hunter2"], "webhook": {"url": "hunter2"}, "priority": "hunter2"})
    said = refusal.value.message + "".join(fault.detail for fault in refusal.value.faults)

    assert "hunter2" not in said


def test_simple_fields_say_the_same() -> None:
    spec = parse_fields(
        {
            "preset": "web",
            "label": "autumn",
            "priority": "low",
            "webhook_url": "https://x/hook",
            "open": "True",
        }
    )

    assert (spec.preset, spec.label, spec.priority) == ("web", "autumn", Priority.LOW)
    assert spec.open is True
    assert spec.webhook is not None
    assert (spec.webhook.url, spec.webhook.events) == ("https://x/hook", ["job.finished"])


def test_a_webhook_says_what_it_wants_to_hear_and_how_it_is_signed() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - an example
    events = ["image.finished", "job.finished"]
    webhook = parse_spec(
        {"webhook": {"url": "HTTPS://x:8443/h?k=1", "events": events, "secret": secret}}
    ).webhook

    assert webhook is not None
    assert (webhook.url, webhook.events, webhook.secret) == ("HTTPS://x:8443/h?k=1", events, secret)
    assert secret not in repr(webhook)


def test_an_empty_simple_field_counts_as_not_given() -> None:
    fields = dict.fromkeys(["preset", "label", "priority", "webhook_url", "open"], "")

    assert parse_fields(fields) == parse_spec({})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"colour": "red", "b": ""}, ["/colour"]),
        ({"open": "maybe"}, ["/open"]),
        ({"webhook_url": "x"}, ["/webhook_url"]),
        ({"label": "x" * 201, "priority": "x"}, ["/label", "/priority"]),
        ({"recipe": '{"variants": NaN}'}, ["/recipe"]),
        ({"recipe": '{"variants": [], "variants": []}'}, ["/recipe"]),
        ({"recipe": "[" * 100_000}, ["/recipe"]),
    ],
)
def test_a_wrong_simple_field_is_pointed_at(fields: dict[str, str], expected: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_fields(fields)

    assert [fault.pointer for fault in refusal.value.faults] == expected
