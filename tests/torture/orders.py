"""What the parent has asked of the servers, and what was acknowledged: its own list."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.pictures import make_jpeg

COUNT = 12
HEIGHT = 40
PICTURES = [make_jpeg(60 + number, HEIGHT) for number in range(COUNT)]
"""Each of another width, so that an output of the wrong one is noticed."""

BROKEN = PICTURES[0][:200]
WIDTHS = {"m": 40, "s": 20}
RECIPE = {
    "variants": [
        {"name": "m", "width": WIDTHS["m"], "format": "webp"},
        {"name": "s", "width": WIDTHS["s"], "format": "png"},
    ]
}

Wish = int | str
"""What an image is to come to: the outputs of that picture, or an error with that code."""


def expected_size(picture: int, variant: str) -> tuple[int, int]:
    width = WIDTHS[variant]
    return width, int(HEIGHT * width / (60 + picture) + 0.5)


@dataclass(frozen=True)
class Step:
    """One request. path: may hold the job's id as {id}. build: its body, the same each time."""

    path: str
    build: Callable[[], dict[str, Any]]
    wishes: tuple[Wish, ...] = ()


@dataclass
class Order:
    """A job, as it is asked for. steps: `done` of them were acknowledged; the others are repeated
    until they are, if `repeats`.

    asked: which of cancel, retry, delete was sent, whatever came of it. deleted: acknowledged.
    """

    label: str
    steps: Sequence[Step]
    repeats: bool = True
    has_hook: bool = False
    done: int = 0
    job_id: str | None = None
    asked: set[str] = field(default_factory=set)
    deleted: bool = False

    @property
    def acknowledged(self) -> list[Wish]:
        return [wish for step in self.steps[: self.done] for wish in step.wishes]

    @property
    def wishes(self) -> list[Wish]:
        return [wish for step in self.steps for wish in step.wishes]

    @property
    def is_done(self) -> bool:
        return self.done == len(self.steps)


class OrderBook:
    """Makes orders of every kind, one after the other. sources, hooks: URLs to begin with."""

    def __init__(self, name: str, dice: random.Random, sources: str, hooks: str) -> None:
        self.name = name
        self.orders: list[Order] = []
        self._dice = dice
        self._sources = sources
        self._hooks = hooks

    def make(self, kind: str) -> Order:
        label = f"{self.name}-{len(self.orders)}-{kind}"
        order: Order = getattr(self, f"_make_{kind}")(label)
        self.orders.append(order)
        return order

    def pick(self, *, untouched: bool = False) -> Order | None:
        """Any order that is wholly acknowledged and was not deleted; the newer the likelier."""
        ready = [
            order
            for order in self.orders[-40:]
            if order.is_done and "delete" not in order.asked and not (untouched and order.asked)
        ]
        return self._dice.choice(ready) if ready else None

    def _spec(self, label: str, **fields: Any) -> dict[str, Any]:
        hook = {"url": f"{self._hooks}/{label}", "events": ["job.finished", "image.finished"]}
        reuse = self._dice.random() < 0.3
        return {"label": label, "recipe": RECIPE, "reuse": reuse, "webhook": hook, **fields}

    def _numbers(self, count: int) -> tuple[int, ...]:
        return tuple(self._dice.randrange(COUNT) for _ in range(count))

    def _make_form(self, label: str) -> Order:
        count = self._dice.choice((2, 3, 5, 40))
        step = _form("/api/v1/jobs", self._numbers(count), self._spec(label))
        return Order(label, [step], has_hook=True)

    def _make_once(self, label: str) -> Order:
        """A form that is not repeated: without an answer nobody knows what became of it."""
        step = _form("/api/v1/jobs", self._numbers(3), self._spec(label))
        return Order(label, [step], repeats=False, has_hook=True)

    def _make_json(self, label: str) -> Order:
        numbers = self._numbers(3)
        images = [{"data": _base64(PICTURES[n]), "name": f"{n}.jpg"} for n in numbers]
        images.append({"data": _base64(BROKEN), "name": "broken.jpg"})
        step = _json("/api/v1/jobs", self._spec(label, images=images), (*numbers, "corrupt_image"))
        return Order(label, [step], has_hook=True)

    def _make_urls(self, label: str) -> Order:
        numbers = self._numbers(3)
        images = [{"url": f"{self._sources}/{n}.jpg"} for n in numbers]
        images.append({"url": f"{self._sources}/gone.jpg"})
        step = _json("/api/v1/jobs", self._spec(label, images=images), (*numbers, "fetch_failed"))
        return Order(label, [step], has_hook=True)

    def _make_list(self, label: str) -> Order:
        numbers = self._numbers(3)
        rows = [f"{n},Thing,{self._sources}/{m}.jpg" for n, m in enumerate(numbers)]
        body = "\n".join(["S. No.,Product Name,Input Image Urls", *rows]).encode()
        headers = {"Content-Type": "text/csv"}
        path = f"/api/v1/jobs?label={label}&recipe={json.dumps(RECIPE)}"
        return Order(label, [Step(path, lambda: {"data": body, "headers": headers}, numbers)])

    def _make_open(self, label: str) -> Order:
        images = "/api/v1/jobs/{id}/images"
        steps = [_form("/api/v1/jobs", self._numbers(2), self._spec(label, open=True))]
        steps += [_form(images, self._numbers(2)) for _ in range(2)]
        steps.append(Step("/api/v1/jobs/{id}/close", dict))
        return Order(label, steps, has_hook=True)


KINDS = ("form", "once", "json", "urls", "list", "open")


def _form(path: str, numbers: tuple[int, ...], spec: dict[str, Any] | None = None) -> Step:
    def build() -> dict[str, Any]:
        form = aiohttp.FormData(default_to_multipart=True)
        if spec is not None:
            form.add_field("spec", json.dumps(spec))
        for number in numbers:
            form.add_field("f", io.BytesIO(PICTURES[number]), filename=f"{number}.jpg")
        return {"data": form}

    return Step(path, build, numbers)


def _json(path: str, spec: dict[str, Any], wishes: tuple[Wish, ...]) -> Step:
    return Step(path, lambda: {"json": spec}, wishes)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
