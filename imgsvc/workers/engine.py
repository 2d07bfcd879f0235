"""What the rest of the program sees of whatever renders images."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from imgsvc.domain.formats import Formats
from imgsvc.domain.rendering import EngineEvent, RenderTask
from imgsvc.errors import ImgsvcError


class PoolBroken(ImgsvcError):
    """Workers cannot be kept alive; the service has to stop."""


class PoolClosed(ImgsvcError):
    """The engine is draining or gone and takes no more work."""


class WorkerState(StrEnum):
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    LEAVING = "leaving"  # finishes what it has, then goes


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One slot, for people who look at it.

    pid: None while no process stands in the slot.
    bundles: how many it holds, begun or not.
    resident_bytes: as of its last report; 0 before the first.
    tasks_done: by the present process.
    restarts: processes of this slot that died without being told to.
    """

    slot: int
    state: WorkerState
    pid: int | None
    bundles: int
    resident_bytes: int
    tasks_done: int
    restarts: int


class DeathCause(StrEnum):
    """What a process died of that nobody had told to go."""

    CRASHED = "crashed"  # at a task
    TIMEOUT = "timeout"  # killed at a task's deadline
    OUT_OF_MEMORY = "out_of_memory"  # at a task
    START = "start"  # before it was warm
    STALL = "stall"  # killed because it did not begin what it was given
    OTHER = "other"  # at no task: killed from outside, as a rule


@dataclass(slots=True)
class Toll:
    """What has become of processes since the start. replaced: those that had grown too large or
    too old.
    """

    deaths: dict[DeathCause, int] = field(default_factory=lambda: dict.fromkeys(DeathCause, 0))
    replaced: int = 0


class Engine(Protocol):
    """Takes tasks in bundles and tells what became of each, exactly once.

    Every submitted task ends in one `Finished` or one `Lost`. A `Finished` that holds a
    `Rendered` leaves its outputs to the consumer, which moves them away or calls `release`.
    """

    @property
    def size(self) -> int:
        """Tasks that run at the same time."""
        ...

    @property
    def share_bytes(self) -> int:
        """What one task may cost when all slots are busy."""
        ...

    def room(self, *, urgent: bool = False) -> int:
        """Bundles that `submit` takes now without waiting; there is a place more in every slot
        for an urgent one.
        """
        ...

    async def formats(self) -> Formats:
        """What can be read and written, as the workers say; waits until one is warm.

        Raises PoolClosed and PoolBroken.
        """
        ...

    async def submit(self, tasks: Sequence[RenderTask], *, urgent: bool = False) -> None:
        """Hand over one bundle; its tasks run one after the other. An urgent one runs as soon
        as the task before it ends: what stands between the two is lost, INNOCENT.

        `input_path` is where the bytes are; `output_prefix` is replaced by the engine.
        Cancelling the call does not take the bundle back. Raises PoolClosed.
        """
        ...

    def events(self) -> AsyncIterator[Sequence[EngineEvent]]:
        """Everything that happens, in order, for one consumer; ends after a drain. A batch
        may be empty: there may be more room than before.

        Raises PoolBroken when workers cannot be kept alive.
        """
        ...

    async def release(self, task: RenderTask) -> None:
        """Remove every file that a finished task still has in the engine's folder."""
        ...

    async def resize(self, size: int) -> None:
        """Grow or shrink; a slot that goes finishes first what it has."""
        ...

    async def drain(self, grace_s: float) -> None:
        """Take no more, let what runs finish within `grace_s`, give back the rest."""
        ...

    def kill(self) -> None:
        """End every worker at once."""
        ...

    def workers(self) -> Sequence[WorkerFacts]: ...
