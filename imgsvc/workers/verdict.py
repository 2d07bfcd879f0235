"""Why a child died, as far as the task that it was at is concerned."""

from __future__ import annotations

from imgsvc.domain.rendering import LossCause
from imgsvc.workers.engine import DeathCause

_MEMORY_CRIES = (
    "failed to allocate",  # GLib: g_malloc aborts
    "Error creating thread",  # GLib: no address space for a stack
    "std::bad_alloc",  # C++ codecs
    "MemoryError",
    "Cannot allocate memory",
)


def judge_death(
    *,
    past_deadline: bool,
    failure: BaseException | None,
    is_heavy: bool,
    stderr: str,
) -> LossCause:
    """The cause for the task that was running.

    failure: what its call ended with. is_heavy: as in RenderTask. stderr: what the child said
    during the task.
    """
    if past_deadline:
        return LossCause.TIMEOUT
    if isinstance(failure, MemoryError) or is_heavy or any(cry in stderr for cry in _MEMORY_CRIES):
        return LossCause.OUT_OF_MEMORY
    return LossCause.CRASHED


def name_death(cause: LossCause | None, deadline: str | None, *, was_warm: bool) -> DeathCause:
    """What the process itself died of.

    cause: for the task that was running; None when there was none. deadline: as in Worker.
    """
    if cause is not None:
        return DeathCause(cause.value)
    if not was_warm:
        return DeathCause.START
    if deadline == "stall":
        return DeathCause.STALL
    return DeathCause.TIMEOUT if deadline == "task" else DeathCause.OTHER
