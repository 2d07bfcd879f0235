"""Every metric that a server has, by its name, and the text that Prometheus reads.

A registry belongs to one server: nothing is global. What happens is counted as it happens; what is
(a queue, a disk) is set before each reading. Labels come from fixed lists alone.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client import exposition as plain_text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

RENDER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
WAIT_S = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400)
REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper ends of the histograms' buckets."""


class Total:
    """A counter whose total somebody else keeps. It is brought up to that before each reading."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._seen: dict[tuple[str, ...], float] = {}

    def set(self, total: float, *labels: str) -> None:
        child = self._counter.labels(*labels) if labels else self._counter
        child.inc(total - self._seen.get(labels, 0))
        self._seen[labels] = total


class Metrics:
    """The metrics of one server. docs/metrics.md says what each means."""

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        build = Info("imgsvc_build", "The version that runs.", registry=self._registry)
        build.info({"version": version, "python": platform.python_version()})
        self._define_work()
        self._define_requests()
        self._define_messages()
        self._define_resources()

    def expose(self, *, plain: bool) -> tuple[bytes, str]:
        """The text and its media type: OpenMetrics, or the older plain format of Prometheus.

        Reads files of the system: to be called in a thread.
        """
        readable = _WithoutBirths(self._registry)
        if plain:
            return plain_text.generate_latest(readable), plain_text.CONTENT_TYPE_PLAIN_0_0_4
        text: bytes = openmetrics.generate_latest(readable)  # type: ignore[no-untyped-call]
        return text, openmetrics.CONTENT_TYPE_LATEST

    def _define_work(self) -> None:
        self.images = self._counter("images", "Images that ended.", "status", "error")
        self.render_s = self._histogram(
            "image_render_seconds", "What a worker needed for an image.", RENDER_S
        )
        self.wait_s = self._histogram(
            "image_wait_seconds", "From an image's arrival until its first try began.", WAIT_S
        )
        self.input_bytes = self._counter("input_bytes", "Inputs of images that ended.")
        self.outputs = self._counter("outputs", "Files of completed images.", "origin")
        self.output_bytes = self._counter("output_bytes", "Their sizes.", "origin")
        self.jobs_accepted = self._counter("jobs_accepted", "Jobs that were taken in.", "source")
        self.jobs_ended = self._counter("jobs_ended", "Ends of jobs.", "status")
        self.queue = self._gauge("queue_images", "Images that are not final.", "priority", "state")
        self.queue_jobs = self._gauge("queue_jobs", "Jobs that have such images.")
        self.queue_max = self._gauge("queue_max_images", "How many of them there may be.")

    def _define_requests(self) -> None:
        self.requests = self._counter(
            "http_requests", "Requests that ended.", "method", "route", "status"
        )
        self.request_s = self._histogram(
            "http_request_seconds",
            "From a request's head to the last byte of its answer.",
            REQUEST_S,
            "method",
            "route",
        )
        self.requests_open = self._gauge("http_requests_in_progress", "Requests under way.")
        self.received_bytes = self._counter("http_received_bytes", "Bodies of requests.")
        self.sent_bytes = self._counter("http_sent_bytes", "Answers with their heads.")
        self.connections = self._gauge("http_connections", "Connections that are open.")
        self.readers = self._gauge("progress_readers", "Who follows a job, or all jobs.")

    def _define_messages(self) -> None:
        self.fetches = self._counter("fetches", "Fetches of images that ended.", "result")
        self.fetched_bytes = self._counter("fetched_bytes", "Images that were fetched.")
        self.hosts_left_alone = self._gauge(
            "fetch_hosts_left_alone", "Hosts that failed too often, and are not asked for a while."
        )
        self.tries = self._counter("webhook_tries", "Tries to deliver a message.", "result")
        self.deliveries = self._counter(
            "webhook_deliveries", "Messages that nothing more is done about.", "state"
        )
        self.undelivered = self._gauge("webhook_deliveries_waiting", "Messages to be sent.")

    def _define_resources(self) -> None:
        self.workers = self._gauge("workers", "Workers by what they do.", "state")
        self.workers_size = self._gauge("workers_size", "How many workers there are to be.")
        self.workers_bytes = self._gauge(
            "workers_resident_memory_bytes", "Memory of all workers, by their last reports."
        )
        self.deaths = Total(self._counter("worker_deaths", "Workers that died unasked.", "cause"))
        self.replacements = Total(
            self._counter("worker_replacements", "Workers replaced for their size or age.")
        )
        self.commits = Total(self._counter("store_commits", "Commits of the database."))
        self.operations = Total(self._counter("store_operations", "Writes in these commits."))
        self.commit_s = Total(self._counter("store_commit_seconds", "Time taken by commits."))
        self.wal_bytes = self._gauge("store_wal_bytes", "Size of the database's log.")
        self.free_bytes = self._gauge("disk_free_bytes", "Free on the data folder's disk.")
        self.reserve_bytes = self._gauge("disk_reserve_bytes", "What is to stay free there.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"imgsvc_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"imgsvc_{name}", text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"imgsvc_{name}", text, labels, buckets=buckets, registry=self._registry)


class _WithoutBirths(Collector):
    """All but when each series began, which would double their number: all begin with the
    server, and `process_start_time_seconds` says when that was.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric
