"""What a child says, taken apart with care.

A pickle is a program: one that a hijacked child writes would run in the server. So only our
own facts, and plain exceptions, are made of what comes from there.
"""

from __future__ import annotations

import builtins
import io
import pickle
import weakref
from concurrent.futures import process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from imgsvc import errors
from imgsvc.domain import rendering
from imgsvc.domain.confinement import Confinement
from imgsvc.domain.formats import Formats
from imgsvc.workers.child import BundleReport, Greeting

MAX_ANSWER_BYTES = 1024**2
"""Of a message in the pipe; ours have a few KiB, and an exception a traceback."""

MAX_REPORT_BYTES = 256 * 1024**2
"""Of a report in a file: the largest bundle with the largest recipes stays below."""

_OURS = (
    BundleReport,
    Greeting,
    Confinement,
    Formats,
    rendering.Rendered,
    rendering.RenderFailed,
    rendering.NeedsMemory,
    rendering.InputFacts,
    rendering.OutputFacts,
    rendering.AnalysisFacts,
    rendering.ImageWarning,
    rendering.Failure,
    errors.ImageErrorCode,
    errors.WarningCode,
)
_ALLOWED = {(kind.__module__, kind.__qualname__): kind for kind in _OURS}
_ENVELOPE = frozenset({"_ResultItem", "_rebuild_exc"})
"""What the executor itself wraps around a result, and around an exception."""


class _CarefulUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Raises UnpicklingError for everything that is not allowed."""
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module == process.__name__ and name in _ENVELOPE:
            return getattr(process, name)
        if module == "builtins":
            kind = getattr(builtins, name, None)
            if isinstance(kind, type) and issubclass(kind, Exception):
                return kind
        raise pickle.UnpicklingError(f"a worker may not say {module}.{name}")


def take_apart(data: bytes) -> Any:
    """Raises UnpicklingError."""
    try:
        return _CarefulUnpickler(io.BytesIO(data)).load()
    except Exception as exc:
        raise pickle.UnpicklingError("a worker says what cannot be read") from exc


def read_report(path: Path) -> Any:
    """What `parcel.pack` spilled into a file; it is removed. Raises OSError and
    UnpicklingError.
    """
    with path.open("rb") as file:
        data = file.read(MAX_REPORT_BYTES + 1)
    path.unlink()
    if len(data) > MAX_REPORT_BYTES:
        raise pickle.UnpicklingError("a report that is too large")
    return take_apart(data)


def guard(reader: Connection[Any, Any]) -> None:
    """Make `recv` of the executor's end careful. The executor takes an exception out of it
    for a broken process, which it is.
    """
    source = weakref.proxy(reader)  # or it would hold itself, and its descriptor, for long

    def receive() -> Any:
        return take_apart(source.recv_bytes(MAX_ANSWER_BYTES))

    setattr(reader, "recv", receive)  # noqa: B010 - a method gives way to a function
