"""Every metric has its row in the documents, and a name as Prometheus' conventions want it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

import imgsvc
from imgsvc.telemetry.metrics import Metrics, Total

PAGE = (Path(imgsvc.__file__).parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")

Facts = tuple[str, frozenset[str]]
"""A metric's type and its labels."""


def sample_name(name: str, type_: str) -> str:
    return name + {"counter": "_total", "info": "_info"}.get(type_, "")


def defined() -> dict[str, Facts]:
    """By name, as a query would call it."""
    found: dict[str, Facts] = {}
    for collector in Metrics("1")._registry._collector_to_names:
        for family in collector.collect():
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            if isinstance(collector, MetricWrapperBase):
                labels |= set(collector._labelnames)  # of which there may be no sample yet
            found[sample_name(family.name, family.type)] = family.type, frozenset(labels)
    return found


def described() -> dict[str, Facts]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", PAGE, flags=re.MULTILINE)
    return {name: (type_, frozenset(re.findall(r"\w+", labels))) for name, type_, labels in rows}


def test_the_page_says_what_there_is_and_nothing_else() -> None:
    assert described() == defined()


def test_what_the_page_asks_for_exists() -> None:
    known = set(defined())
    asked = {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bimgsvc_\w+", PAGE)}
    assert asked <= known


@pytest.mark.parametrize(("name", "facts"), sorted(defined().items()))
def test_names_are_those_of_the_field(name: str, facts: Facts) -> None:
    type_, _ = facts
    assert name.startswith(("imgsvc_", "process_"))
    assert name.endswith("_total") == (type_ == "counter")
    assert type_ != "histogram" or name.endswith("_seconds")
    assert not re.search(r"_(ms|s|kb|mb|percent|count)(_|$)", name)


def test_a_total_that_is_kept_elsewhere_only_rises_by_what_is_new() -> None:
    counter = Counter("kept", "Somewhere else.", ["cause"], registry=None)
    total = Total(counter)
    for value in (0, 3, 3, 5):
        total.set(value, "one")
    total.set(2, "other")
    samples = {s.labels["cause"]: s.value for f in counter.collect() for s in f.samples
               if s.name == "kept_total"}  # fmt: skip
    assert samples == {"one": 5, "other": 2}


def test_no_series_says_when_it_began() -> None:
    for plain in (False, True):
        text, _ = Metrics("1").expose(plain=plain)
        assert b"_created" not in text
