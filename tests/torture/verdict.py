"""The last look: everything that was acknowledged is there, once, and right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.receivers import Message
from tests.torture.inspection import output_name, read_images, read_jobs, read_outputs
from tests.torture.orders import WIDTHS, Order, Wish, expected_size
from tests.torture.report import Report

Row = dict[str, Any]


def judge(
    data_dir: Path,
    orders: Iterable[Order],
    messages: Iterable[Message],
    seen: dict[tuple[str, int], list[str]],
    report: Report,
) -> None:
    """seen: digests of outputs, by job and index, of images that a client saw completed."""
    jobs: dict[str, list[Row]] = {}
    for job in read_jobs(data_dir):
        jobs.setdefault(job["label"], []).append(job)
    images: dict[str, list[Row]] = {}
    for image in read_images(data_dir):
        images.setdefault(image["job_id"], []).append(image)
    told: dict[str, list[Message]] = {}
    for message in messages:
        told.setdefault(message.path.rpartition("/")[2], []).append(message)
    for order in orders:
        found = jobs.pop(order.label, [])
        _judge_order(order, found, images, data_dir, report)
        _judge_messages(order, found, told.pop(order.label, []), report)
        report.acknowledged += len(order.acknowledged)
    report.orphans += [f"a job that was never acknowledged: {label}" for label in jobs]
    report.untrue += [f"messages about nothing: {label}" for label in told]
    _judge_sights(images, seen, report)
    report.lost += _judge_attempts(images, report.worker_kills)
    report.untrue += _judge_blame(report)


def _judge_order(
    order: Order, jobs: list[Row], images: dict[str, list[Row]], data_dir: Path, report: Report
) -> None:
    if len(jobs) > 1:
        report.doubled.append(f"{order.label}: {len(jobs)} jobs")
    if not jobs and order.done and "delete" not in order.asked:
        report.lost.append(f"{order.label}: no job")
    if not jobs and "delete" in order.asked:  # its images were finished, or nobody wanted them
        report.finished += len(order.acknowledged)
    if jobs and order.deleted:
        report.orphans.append(f"{order.label}: deleted, and there")
    for job in jobs:
        _judge_images(order, images.get(job["id"], []), data_dir, report)


def _judge_images(order: Order, rows: list[Row], data_dir: Path, report: Report) -> None:
    """All or none of what one request brought, acknowledged or not."""
    if len(rows) != len(order.wishes):
        kind = report.lost if len(rows) < len(order.wishes) else report.doubled
        kind.append(f"{order.label}: {len(rows)} images of {len(order.wishes)}")
    for row, wish in zip(rows, order.wishes, strict=False):
        fault = _find_fault(row, wish, order, data_dir)
        if fault:
            report.lost.append(f"{order.label} {row['idx']}: {fault}")
        elif row["idx"] < len(order.acknowledged):
            report.finished += 1


def _find_fault(row: Row, wish: Wish, order: Order, data_dir: Path) -> str | None:
    if row["state"] == "cancelled" and "cancel" in order.asked:
        return None
    if isinstance(wish, str):
        return None if row["error_code"] == wish else f"{row['state']} {row['error_code']}"
    if row["state"] != "completed":
        return f"{row['state']} {row['error_code']}"
    outputs = read_outputs(row)
    if sorted(output["variant"] for output in outputs) != sorted(WIDTHS):
        return "other outputs"
    for output in outputs:
        path = data_dir / "jobs" / row["job_id"] / "out" / output_name(row, output)
        if not path.exists():
            return "an output that is not there"
        with Image.open(path) as picture:
            picture.load()
            if picture.size != expected_size(wish, output["variant"]):
                return f"an output of {picture.size}"
    return None


def _judge_messages(order: Order, jobs: list[Row], told: list[Message], report: Report) -> None:
    """At least once; the same id for the same news; nothing that is not so."""
    report.messages += len(told)
    bodies: dict[str, set[bytes]] = {}
    for message in told:
        bodies.setdefault(message.id, set()).add(message.body)
    report.untrue += [
        f"{order.label}: {len(texts)} messages under one id"
        for texts in bodies.values()
        if len(texts) > 1
    ]
    ends = {message.id: message.document for message in told if message.type == "job.finished"}
    if not jobs or not order.has_hook:
        return
    (job, *_) = jobs
    if not ends and not order.asked:
        report.lost.append(f"{order.label}: nobody was told of its end")
    if order.asked:  # ended, and taken up again
        return
    if len(ends) > 1:
        report.doubled.append(f"{order.label}: its end under {len(ends)} ids")
    report.untrue += [
        f"{order.label}: said to be {document['data']['job']['status']}"
        for document in ends.values()
        if document["data"]["job"]["status"] != job["state"]
        or document["data"]["job"]["completed"] != job["completed"]
    ]
    news = told_images(told)
    report.doubled += [f"{order.label} {n}: told twice" for n, times in news.items() if times > 1]
    if len(news) < job["total"]:
        report.lost.append(f"{order.label}: told of {len(news)} images of {job['total']}")


def told_images(messages: list[Message]) -> Counter[int]:
    """How often each image of a job was told of, a repeated message counted once."""
    different = {message.id: message for message in messages if message.type == "image.finished"}
    return Counter(
        image["index"]
        for message in different.values()
        for image in message.document["data"]["images"]
    )


def _judge_sights(
    images: dict[str, list[Row]], seen: dict[tuple[str, int], list[str]], report: Report
) -> None:
    """What somebody saw completed has stayed so, with the same outputs."""
    for (job_id, index), digests in seen.items():
        for row in images.get(job_id, []):
            outputs = sorted(output["sha256"] for output in read_outputs(row))
            if row["idx"] == index and outputs != digests:
                report.untrue.append(f"{job_id} {index}: was completed, is {row['state']}")


def _judge_blame(report: Report) -> list[str]:
    """A good image pays for no death of a server, and for no fewer than two of workers."""
    for_servers, for_workers = (report.blamed[f"by {who}"] for who in ("servers", "workers"))
    if for_servers or 2 * for_workers > report.worker_kills:
        return [f"good images were blamed: {dict(report.blamed)}"]
    return []


def _judge_attempts(images: dict[str, list[Row]], worker_kills: int) -> list[str]:
    """Restarts cost nothing; a worker that is killed costs one image one try."""
    rows = [row for rows in images.values() for row in rows if row["state"] == "completed"]
    extra = sum(row["attempts"] - 1 for row in rows)
    if extra > worker_kills:
        return [f"{extra} tries too many were counted, for {worker_kills} workers killed"]
    return [f"{row['id']}: no try was counted" for row in rows if row["attempts"] < 1]
