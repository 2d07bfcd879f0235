"""Images that may be what the server dies of: each runs with nothing beside it.

It stands in the database that it does before it begins, so the next start knows whose fault a
death was; and nothing else begins before its end stands there too.
"""

from __future__ import annotations

from imgsvc.dispatch.admission import Admission, Allowance
from imgsvc.domain.image import Image
from imgsvc.domain.rendering import TaskKey
from imgsvc.store.store import Store
from imgsvc.workers.engine import Engine, WorkerState


class Suspects:
    def __init__(self, store: Store, admission: Admission, engine: Engine) -> None:
        self._store = store
        self._admission = admission
        self._engine = engine
        self._running: dict[TaskKey, Allowance] = {}

    def admits(self) -> bool:
        """Whether one may begin now, and at once: while it waited for a worker to be warm, it
        would be blamed for deaths in which it had no part.
        """
        if not self._admission.admits_alone():
            return False
        return any(worker.state is WorkerState.IDLE for worker in self._engine.workers())

    async def note(self, image: Image) -> bool:
        """Store that it is about to begin; False when it is not to be made any more.

        Raises StorageFull.
        """
        return await self._store.begin_alone(image.key)

    def begin(self, image: Image) -> Allowance:
        allowance = self._running[image.key] = self._admission.begin_alone(image.memory_bytes)
        return allowance

    def settle(self, key: TaskKey) -> None:
        """A dispatch has ended, durably, a suspect's or any other."""
        if key in self._running:
            self._admission.end(self._running.pop(key))
