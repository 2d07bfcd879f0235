"""A bundle: tasks that one child runs one after the other, as the parent accounts for them."""

from __future__ import annotations

from collections.abc import Sequence

from imgsvc.domain.rendering import (
    EngineEvent,
    Finished,
    LossCause,
    Lost,
    RenderFailed,
    RenderTask,
    Started,
)
from imgsvc.domain.retries import MAX_INNOCENT
from imgsvc.telemetry.logs import get_logger
from imgsvc.workers.notes import TaskMark
from imgsvc.workers.report import BundleReport
from imgsvc.workers.scratch import InputUnavailable

log = get_logger(__name__)


class Bundle:
    """Every task leaves it exactly once, as an event; what comes later finds it gone.

    tasks: as the child has them; shortened once, before the child sees them.
    is_urgent: others make way for it. makes_way: for urgent ones; who has done so a few times has
        its turn, or a hijacked worker would put an image off for ever.
    sent: whether it has gone, or is going, to a child that lived.
    failure: what its call ended with when no report came.
    """

    def __init__(
        self, ordinal: int, tasks: tuple[RenderTask, ...], *, is_urgent: bool = False
    ) -> None:
        self.ordinal = ordinal
        self.tasks = tasks
        self.is_urgent = is_urgent
        self.makes_way = not is_urgent and tasks[0].key.claim <= MAX_INNOCENT
        self.failure: BaseException | None = None
        self.answered = False
        self.sent = False
        self._open = {task.key: task for task in tasks}
        self._announced = 0

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    @property
    def first_open(self) -> RenderTask | None:
        return next(iter(self._open.values()), None)

    def task_at(self, mark: TaskMark) -> RenderTask | None:
        """The task there, if it is one of this bundle's and still open."""
        if mark.ordinal != self.ordinal or mark.position >= len(self.tasks):
            return None
        return self._open.get(self.tasks[mark.position].key)

    def announce(self, mark: TaskMark) -> list[EngineEvent]:
        """A Started for every task begun up to `mark` which has had none."""
        if mark.ordinal != self.ordinal:
            return []
        return self._announce_up_to(mark.position + 1)

    def _announce_up_to(self, count: int) -> list[EngineEvent]:
        begun = self.tasks[self._announced : count]
        self._announced = max(self._announced, count)
        return [Started(task.key) for task in begun if task.key in self._open]

    def finish(self, report: BundleReport) -> tuple[list[EngineEvent], list[RenderTask]]:
        """The events of a report, and tasks whose outcome comes too late for anybody."""
        events = self._announce_up_to(len(report.outcomes))
        late: list[RenderTask] = []
        for task, outcome in zip(self.tasks, report.outcomes, strict=False):
            if self._open.pop(task.key, None) is None:
                late.append(task)
            else:
                events.append(Finished(task, outcome))
        return events + self.give_back(), late

    def refuse(self, refused: Sequence[Finished]) -> list[EngineEvent]:
        """The events of tasks that never reach the child."""
        return [one for one in refused if self._open.pop(one.task.key, None) is not None]

    def give_back(self, beyond: TaskMark | None = None) -> list[EngineEvent]:
        """Whatever is open is lost through no fault of its own; with `beyond`, only what
        had not begun when the child was at that mark.
        """
        begun = {
            task.key
            for position, task in enumerate(self.tasks)
            if beyond is not None and TaskMark(self.ordinal, position) <= beyond
        }
        keys = [key for key in self._open if key not in begun]
        for key in keys:
            del self._open[key]
        return [Lost(key, LossCause.INNOCENT) for key in keys]

    def condemn(self, task: RenderTask, cause: LossCause, duration_ms: int) -> list[EngineEvent]:
        """The task ends with `cause`; one that was never announced has begun all the same."""
        events = self._announce_up_to(self.tasks.index(task) + 1)
        if self._open.pop(task.key, None) is not None:
            events.append(Lost(task.key, cause, duration_ms))
        return events


def end_unavailable(placed: RenderTask, exc: InputUnavailable) -> Finished:
    """The end of a task that is not begun; in the log where a file is why."""
    if exc.why:
        key = placed.key
        log.warning(
            "input_unusable", job_id=key.job_id, index=key.index, path=exc.path, why=exc.why
        )
    return Finished(placed, RenderFailed(exc.failure, None, 0))
