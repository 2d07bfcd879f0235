"""Where a server can be killed: named moments of its work, each a function of the program."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from enum import StrEnum

PLAN = "TORTURE_PLAN"
"""Environment variable that holds a Plan as JSON."""

FINDINGS = "TORTURE_FINDINGS"
"""Environment variable: the file for what is found right after a recovery."""

MARK = "TORTURE_MARK"
"""Environment variable by which a server's children are known whoever their parent is."""


class Moment(StrEnum):
    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


class Victims(StrEnum):
    SERVER = "server"
    BOTH = "both"  # its children, then itself
    GROUP = "group"  # all of them at once


@dataclass(frozen=True)
class Point:
    """step: of the work. place: module and attribute. calls: the kill comes with one of so many
    first calls.
    """

    step: str
    place: str
    calls: int = 1


POINTS = {
    "write": Point("upload", "imgsvc.blobs.stage:_HashedFile.append", 8),
    "finish": Point("upload", "imgsvc.blobs.stage:StagedFile.finish", 8),
    "product": Point("upload", "imgsvc.service.submit:Submission.add_product", 2),
    "sync": Point("row", "imgsvc.blobs.stage:Stage.sync", 6),
    "create": Point("row", "imgsvc.store.store:Store.create_job", 4),
    "append": Point("row", "imgsvc.store.store:Store.append_images", 4),
    "close": Point("row", "imgsvc.store.store:Store.close_job", 4),
    "show": Point("row", "imgsvc.store.store:Store.show_job"),
    "commit": Point("row", "imgsvc.store.writer:Writer._transact", 40),
    "answer": Point("row", "imgsvc.store.store:Store.record_answer", 3),
    "discard": Point("row", "imgsvc.blobs.stage:Stage.discard"),
    "claim": Point("result", "imgsvc.store.store:Store.claim_images", 6),
    "hand-over": Point("result", "imgsvc.workers.pool:WorkerPool.submit", 10),
    "move": Point("result", "imgsvc.blobs.publication:_carry_out", 6),
    "publish": Point("result", "imgsvc.blobs.blob_store:BlobStore.publish", 6),
    "record": Point("result", "imgsvc.store.store:Store.finish_images", 8),
    "tell": Point("result", "imgsvc.progress.hub:Hub.publish", 30),
    "archive": Point("archive", "imgsvc.api.archives:_read_some"),
    "copy": Point("backup", "imgsvc.store.store:copy_database"),
    "link": Point("backup", "imgsvc.service.backup:_link_files"),
    "unlink": Point("backup", "imgsvc.blobs.blob_store:BlobStore.remove_backup_folder"),
    "begin-fetch": Point("fetch", "imgsvc.store.store:Store.begin_fetches", 2),
    "fetch": Point("fetch", "imgsvc.fetching.fetcher:Fetcher.fetch", 5),
    "end-fetch": Point("fetch", "imgsvc.store.store:Store.finish_fetch", 4),
    "fail-fetch": Point("fetch", "imgsvc.store.store:Store.fail_fetch"),
    "announce": Point("webhook", "imgsvc.store.store:Store.announce_images", 2),
    "send": Point("webhook", "imgsvc.webhooks.sender:Sender.send", 3),
    "note-sent": Point("webhook", "imgsvc.store.store:Store.record_attempt", 3),
    "cancel": Point("change", "imgsvc.store.store:Store.cancel_job"),
    "retry": Point("change", "imgsvc.store.store:Store.retry_images"),
    "delete": Point("change", "imgsvc.store.store:Store.delete_job"),
    "remove": Point("change", "imgsvc.blobs.blob_store:remove_folder"),
    "render": Point("change", "imgsvc.dispatch.urgent:UrgentLane.submit_next"),
    "stop-fetches": Point("shutdown", "imgsvc.fetching.fetches:Fetches.stop"),
    "drain": Point("shutdown", "imgsvc.workers.pool:WorkerPool.drain"),
    "give-back": Point("shutdown", "imgsvc.dispatch.dispatcher:Dispatcher.give_back"),
    "stop-store": Point("shutdown", "imgsvc.store.store:Store.close"),
    "unlock": Point("shutdown", "imgsvc.store.lock:DataFolderLock.release"),
    "examine": Point("start", "imgsvc.store.store:examine"),
    "prepare": Point("start", "imgsvc.blobs.blob_store:BlobStore.prepare"),
    "recover": Point("start", "imgsvc.store.store:Store.recover"),
    "sweep": Point("start", "imgsvc.runtime.core:sweep_orphans"),
    "start-pool": Point("start", "imgsvc.workers.pool:WorkerPool.start"),
    "load": Point("start", "imgsvc.dispatch.dispatcher:Dispatcher.load"),
}


@dataclass(frozen=True)
class Plan:
    """How a server dies by its own hand. point: a name of POINTS."""

    point: str
    moment: Moment
    call: int
    victims: Victims

    @property
    def step(self) -> str:
        return POINTS[self.point].step

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Plan:
        fields = json.loads(text)
        moment, victims = Moment(fields["moment"]), Victims(fields["victims"])
        return cls(fields["point"], moment, fields["call"], victims)


RANDOM, WORKERS = "random", "workers"
"""Deaths from outside: of the server at any time; of workers, time and again, and then of it."""


def make_schedule(kills: int, dice: random.Random) -> list[Plan | str]:
    """So many deaths in a random order, in which every point comes as often as any other."""
    schedule: list[Plan | str] = []
    while len(schedule) < kills:
        names = [*POINTS, RANDOM, RANDOM, RANDOM, WORKERS, WORKERS]
        dice.shuffle(names)
        schedule += [_make_plan(name, dice) if name in POINTS else name for name in names]
    return schedule[:kills]


def make_short_schedule(dice: random.Random) -> list[Plan | str]:
    """One death at each step of the work, and those from outside."""
    steps: dict[str, list[str]] = {}
    for name, point in POINTS.items():
        steps.setdefault(point.step, []).append(name)
    schedule: list[Plan | str] = [_make_plan(dice.choice(names), dice) for names in steps.values()]
    schedule += [RANDOM, WORKERS]
    dice.shuffle(schedule)
    return schedule


def _make_plan(name: str, dice: random.Random) -> Plan:
    (victims,) = dice.choices(list(Victims), weights=(4, 1, 1))
    call = dice.randint(1, POINTS[name].calls)
    return Plan(name, dice.choice(list(Moment)), call, victims)
