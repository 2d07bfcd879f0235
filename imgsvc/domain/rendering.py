"""What goes to a worker and what comes back: paths and facts, never pixels.

All of it goes through a pipe, so it stays small and plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from imgsvc.errors import ImageErrorCode, WarningCode


@dataclass(frozen=True, slots=True)
class TaskKey:
    """One dispatch of one image. `claim` is never reset, so a late result is told apart."""

    job_id: str
    index: int
    claim: int


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Checked on the header, before any pixel. Pixels are summed over frames."""

    max_pixels: int
    max_frames: int


@dataclass(frozen=True, slots=True)
class WatermarkFile:
    """A picture that the recipe lays over others, by its content. sha256: hexadecimal."""

    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class RenderTask:
    """Make every variant of `recipe` from the file at `input_path`.

    recipe: canonical JSON of a Recipe, as `Recipe.model_dump_json` gives it.
    output_prefix: path to which `-<variant>.<ext>` is added for each output.
    memory_bytes: what the decode may cost; if the header says more, NeedsMemory comes back.
    is_heavy: whether that was more than a worker's share when it began.
    analyse: also say what the picture is like.
    watermarks: the files of all pictures that the recipe lays over others.
    input_bytes: the size of the input; None when it may be any.
    """

    key: TaskKey
    input_path: str
    output_prefix: str
    recipe: str
    limits: DecodeLimits
    memory_bytes: int
    analyse: bool = False
    watermarks: tuple[WatermarkFile, ...] = ()
    is_heavy: bool = False
    input_bytes: int | None = None

    @property
    def read_paths(self) -> tuple[str, ...]:
        """Every file that is read to carry it out, the input first."""
        return (self.input_path, *(file.path for file in self.watermarks))


@dataclass(frozen=True, slots=True)
class Failure:
    code: ImageErrorCode
    message: str


@dataclass(frozen=True, slots=True)
class ImageWarning:
    """variants: which outputs it is about; none when it is about the input."""

    code: WarningCode
    message: str
    variants: tuple[str, ...] = ()


def join_warnings(
    groups: Iterable[Iterable[ImageWarning]], order: Sequence[str]
) -> tuple[ImageWarning, ...]:
    """One warning for each code and message, with its variants in the recipe's order."""
    about: dict[tuple[WarningCode, str], set[str]] = {}
    for warning in chain.from_iterable(groups):
        about.setdefault((warning.code, warning.message), set()).update(warning.variants)
    return tuple(
        ImageWarning(code, message, tuple(name for name in order if name in variants))
        for (code, message), variants in about.items()
    )


@dataclass(frozen=True, slots=True)
class InputFacts:
    """What the header says, after EXIF orientation: pixels, and frames (1 for a still)."""

    format: str
    width: int
    height: int
    frames: int


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """One finished file. `sha256` is hexadecimal."""

    variant: str
    format: str
    width: int
    height: int
    frames: int
    size_bytes: int
    sha256: str
    reused: bool = False


@dataclass(frozen=True, slots=True)
class AnalysisFacts:
    """What the picture is like at a glance; of an animation, its first frame.

    dominant_colour: `#rrggbb`. has_alpha: whether any pixel is not opaque. thumbhash: a
    placeholder to show until the picture is there, in base64.
    """

    dominant_colour: str
    has_alpha: bool
    thumbhash: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """All variants were made and stand under the task's output prefix.

    analysis: None where it was not asked for.
    """

    input: InputFacts
    outputs: tuple[OutputFacts, ...]
    warnings: tuple[ImageWarning, ...]
    duration_ms: int
    analysis: AnalysisFacts | None = None


@dataclass(frozen=True, slots=True)
class RenderFailed:
    """The image itself is at fault; no output file is left behind."""

    failure: Failure
    input: InputFacts | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class NeedsMemory:
    """Nothing was decoded: the header predicts `cost_bytes`, more than the task was given."""

    cost_bytes: int


Outcome = Rendered | RenderFailed | NeedsMemory


class LossCause(StrEnum):
    """Why a task came to no outcome."""

    CRASHED = "crashed"  # its worker died while it ran
    TIMEOUT = "timeout"  # its worker was killed at the deadline
    OUT_OF_MEMORY = "out_of_memory"  # its worker died of memory while it ran
    INNOCENT = "innocent"  # its worker died or was stopped through no fault of this task


@dataclass(frozen=True, slots=True)
class Started:
    """A worker begins on the task."""

    key: TaskKey


@dataclass(frozen=True, slots=True)
class Finished:
    """`task` is as the worker had it: its outputs stand under `task.output_prefix`."""

    task: RenderTask
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Lost:
    """duration_ms: how long a worker was at it; None for an innocent one."""

    key: TaskKey
    cause: LossCause
    duration_ms: int | None = None


EngineEvent = Started | Finished | Lost


def output_path(prefix: str, variant: str, format_: str) -> str:
    """Where a worker leaves an output, and where its file is looked for."""
    return f"{prefix}-{variant}.{EXTENSIONS[format_]}"


EXTENSIONS = {
    "webp": "webp",
    "jpeg": "jpg",
    "png": "png",
    "avif": "avif",
    "gif": "gif",
    "tiff": "tif",
}
"""File name extension of each output format."""

MEDIA_TYPES = {
    "webp": "image/webp",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "avif": "image/avif",
    "gif": "image/gif",
    "tiff": "image/tiff",
}
"""Media type of each output format."""
