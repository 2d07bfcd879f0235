"""A piece of work: an image that was claimed, what a worker is to make of it, and what
stands there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgsvc.blobs.publication import Link
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job, NewJob
from imgsvc.domain.rendering import (
    AnalysisFacts,
    ImageWarning,
    InputFacts,
    OutputFacts,
    Rendered,
    join_warnings,
)
from imgsvc.recipes.identity import variant_keys


@dataclass(frozen=True, slots=True)
class Found:
    """An output that was made before, from the same bytes; its file is at `link`.

    output: as this image will show it. warnings: those that concern it. analysis: of the
    image that it was made for, if it has one.
    """

    output: OutputFacts
    link: Link
    input: InputFacts
    warnings: tuple[ImageWarning, ...]
    analysis: AnalysisFacts | None


@dataclass(frozen=True, slots=True)
class Piece:
    """recipe: the job's. to_make: what a worker is to make of it, None for nothing.

    analyse: the job wants an analysis of it. found: the other variants. waited: it was held
    back once for another image's sake.
    """

    image: Image
    recipe: str
    to_make: str | None
    analyse: bool = False
    found: tuple[Found, ...] = ()
    waited: bool = False

    def complete(self, rendered: Rendered | None) -> Rendered:
        """What the image came to, all its variants in the recipe's order.

        rendered: what the worker made; None when there was nothing left to make.
        """
        order = list(variant_keys(self.recipe))
        made = rendered.outputs if rendered else ()
        outputs = {output.variant: output for output in (*made, *(f.output for f in self.found))}
        warnings = (rendered.warnings if rendered else (), *(f.warnings for f in self.found))
        return Rendered(
            input=rendered.input if rendered else self.found[0].input,
            outputs=tuple(outputs[variant] for variant in order if variant in outputs),
            warnings=join_warnings(warnings, order),
            duration_ms=rendered.duration_ms if rendered else 0,
            analysis=self._found_analysis() or (rendered.analysis if rendered else None),
        )

    @property
    def lacks_analysis(self) -> bool:
        """Whether a worker has to make one."""
        return self.analyse and self._found_analysis() is None

    def _found_analysis(self) -> AnalysisFacts | None:
        """That of the same bytes is as good as one's own."""
        found = (one.analysis for one in self.found if one.analysis is not None)
        return next(found, None) if self.analyse else None


def pieces_of(job: Job | NewJob, images: Sequence[Image]) -> list[Piece]:
    """Of images of `job` all that its recipe wants."""
    return [Piece(image, job.recipe, job.recipe, job.analyze) for image in images]


def find_output(
    output: OutputFacts,
    variant: str,
    path: Path,
    input_: InputFacts,
    donor: Image,
) -> Found:
    """An earlier output, of `donor`, under the name that the variant has here."""
    return Found(
        replace(output, variant=variant, reused=True),
        Link(path, output.format, output.sha256),
        input_,
        tuple(
            replace(warning, variants=(variant,) if warning.variants else ())
            for warning in donor.warnings
            if not warning.variants or output.variant in warning.variants
        ),
        donor.analysis,
    )
