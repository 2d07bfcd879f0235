"""A page of metrics, read by the reader of Prometheus' own library."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.servers import Running

Parse = Callable[[str], Iterable[Metric]]


class Page:
    """What a server said of itself at one time."""

    def __init__(self, text: str, parse: Parse = text_string_to_metric_families) -> None:
        self.text = text
        self.families = {family.name: family for family in parse(text)}
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Of one series. Raises KeyError."""
        return self._values[f"imgsvc_{name}", frozenset(labels.items())]

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Of all series of a metric with these labels that are not 0, by one label more."""
        return {
            dict(found)[label]: value
            for (metric, found), value in self._values.items()
            if metric == f"imgsvc_{name}" and labels.items() <= dict(found).items() and value
        }

    @property
    def label_values(self) -> set[str]:
        return {value for _, labels in self._values for _, value in labels}

    @property
    def series(self) -> int:
        return len(self._values)


async def read_page(server: Running) -> Page:
    async with server.http.get("/metrics") as answer:
        text = await answer.text()
        assert answer.status == 200, text
        return Page(text)
