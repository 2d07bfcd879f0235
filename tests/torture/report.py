"""What became of everything, counted from the parent's own list."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields

STEPS = (
    "upload", "row", "result", "archive", "backup", "fetch", "webhook", "change", "shutdown",
    "start", "workers", "random",
)  # fmt: skip


@dataclass
class Report:
    """kills: of servers with SIGKILL, by step of their work; missed: of these, where the planned
    moment never came, and the kill came from outside. worker_kills: of workers alone.

    acknowledged, finished: images. messages: that came to the receiver. blamed: images failed
    with worker_crashed although they are good, by what they are told, and completed after a
    retry: no more than half as many as workers were killed, and none by servers.

    All that follow should be empty: lines, one for each fault. lost: acknowledged and not there,
    or not finished right. doubled: made, told or counted more than once. orphans: files and rows
    left over. survivors: processes that outlived their server. broken: rows that are not in
    order, or name files that are not; untrue: messages and events about what is not so.
    """

    kills: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    worker_kills: int = 0
    acknowledged: int = 0
    finished: int = 0
    messages: int = 0
    blamed: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Every line, with the kind before it."""
        kinds = [item.name for item in fields(self) if isinstance(getattr(self, item.name), list)]
        return [f"{kind}: {line}" for kind in kinds for line in getattr(self, kind)]

    def file(self, lines: list[str]) -> None:
        """Lines of an inspection, each under its kind."""
        for line in lines:
            is_left = line.startswith(("orphan", "hidden"))
            (self.orphans if is_left else self.broken).append(line)

    def add(self, other: Report) -> None:
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            setattr(self, item.name, mine + theirs)

    def table(self) -> str:
        rows = [(item.name, getattr(self, item.name)) for item in fields(self)]
        lines = []
        for name, value in rows:
            if isinstance(value, Counter):
                lines.append(f"{name:14}{value.total():7}")
                lines += [f"  {key:12}{count:7}" for key, count in sorted(value.items())]
            else:
                lines.append(f"{name:14}{len(value) if isinstance(value, list) else value:7}")
        return "\n".join([*lines, *self.faults])
