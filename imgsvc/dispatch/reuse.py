"""The same bytes with the same variant are made once.

What an earlier image has is linked. What another image is about to get is waited for,
once: should that come to nothing, everybody makes his own.

An image that is to be analysed takes over, or waits for, only what an analysed image has:
where nothing is left to make, nobody would decode it, and the analysis comes from there too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata

from imgsvc import __version__
from imgsvc.blobs.blob_store import BlobStore
from imgsvc.dispatch.pieces import Found, Piece, find_output
from imgsvc.domain.image import Image
from imgsvc.domain.rendering import EXTENSIONS, OutputFacts, TaskKey
from imgsvc.recipes.identity import keep_variants, recipe_digest, variant_keys
from imgsvc.store.store import Store

MAX_HELD = 1000
"""Images that wait for others; more are made twice rather than kept in memory."""

MAX_RUN = 64
"""Images claimed at once of a job whose images are all found."""

Want = tuple[str, str, bool]
"""sha256 of an input, key of a variant, and whether of an image that is analysed."""


def _engine_version() -> str:
    """What may change how outputs look: this program and its image library."""
    versions = [__version__]
    for package in ("pyvips", "pyvips-binary"):
        try:
            versions.append(metadata.version(package))
        except metadata.PackageNotFoundError:
            versions.append("system")
    return "+".join(versions)


ENGINE = _engine_version()


class Reuse:
    def __init__(self, store: Store, blobs: BlobStore) -> None:
        self._store = store
        self._blobs = blobs
        self._making: dict[Want, list[Piece]] = {}
        self._makers: dict[TaskKey, list[Want]] = {}
        self._refused: dict[str, set[int]] = {}
        self._runs: dict[str, int] = {}
        self._held = 0

    def key(self, recipe: str, *, analysed: bool) -> str:
        """Under which the results of a recipe are stored to be found again.

        Analysed images have one of their own, so that others, later ones, do not hide them.
        """
        return f"{ENGINE}/{recipe_digest(recipe)}" + ("+analysis" if analysed else "")

    async def sort_out(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Pieces with what was found for them; those that wait for others are held back."""
        # Before the search: who is waited for must not end, unseen, while it goes on.
        free = [piece for piece in pieces if not self._hold(piece, variant_keys(piece.recipe))]
        earlier = await self._find_earlier(free)
        sorted_out = []
        for piece in free:
            found = self._match(piece, earlier)
            missing = variant_keys(piece.recipe).keys() - {f.output.variant for f in found}
            if self._hold(piece, missing):
                continue
            self._note_making(piece, missing)
            sorted_out.append(
                replace(
                    piece,
                    found=found,
                    to_make=keep_variants(piece.recipe, frozenset(missing)) if missing else None,
                )
            )
        return sorted_out

    def settle(self, key: TaskKey) -> list[Piece]:
        """A dispatch has ended, durably: whoever waited for it."""
        followers = [
            replace(piece, waited=True)
            for want in self._makers.pop(key, ())
            for piece in self._making.pop(want)
        ]
        self._held -= len(followers)
        return followers

    def refuse(self, image: Image) -> None:
        """What was found for the image could not be linked: make it anew."""
        self._refused.setdefault(image.job_id, set()).add(image.index)

    def run_length(self, job_id: str) -> int:
        """How many images to claim of a job that has been lucky; 0 when it has not."""
        return self._runs.get(job_id, 0)

    def note_luck(self, job_id: str, *, all_found: bool) -> None:
        if all_found:
            self._runs[job_id] = min(MAX_RUN, 2 * self._runs.get(job_id, 4))
        else:
            self._runs.pop(job_id, None)

    def forget(self, job_id: str) -> None:
        self._refused.pop(job_id, None)
        self._runs.pop(job_id, None)

    def give_back(self) -> list[Piece]:
        """Everything that is held back, at the end."""
        held = [piece for pieces in self._making.values() for piece in pieces]
        self._making.clear()
        self._makers.clear()
        self._held = 0
        return held

    async def _find_earlier(
        self, pieces: Iterable[Piece]
    ) -> Mapping[Want, tuple[Image, OutputFacts]]:
        sha256s = {p.image.sha256 for p in pieces if p.image.sha256 and self._allows(p)}
        if not sha256s:
            return {}
        found: dict[Want, tuple[Image, OutputFacts]] = {}
        for image, recipe in await self._store.reusable_images(sha256s, f"{ENGINE}/"):
            keys = variant_keys(recipe)
            for output in image.outputs:
                if output.variant not in keys or output.format not in EXTENSIONS:
                    continue  # a record that does not fit its recipe
                analysed = image.analysis is not None
                found[image.sha256 or "", keys[output.variant], analysed] = image, output
        return found

    def _match(
        self, piece: Piece, earlier: Mapping[Want, tuple[Image, OutputFacts]]
    ) -> tuple[Found, ...]:
        sha256 = piece.image.sha256
        if sha256 is None or not self._allows(piece):
            return ()
        found = []
        for name, key in variant_keys(piece.recipe).items():
            donors = (earlier[want] for want in _sources(piece, sha256, key) if want in earlier)
            image, output = next(donors, (None, None))
            if image is None or output is None or image.input is None:
                continue
            path = self._blobs.output_path(
                image.job_id, image.id, image.claim, output.variant, output.format
            )
            found.append(find_output(output, name, path, image.input, image))
        return tuple(found)

    def _allows(self, piece: Piece) -> bool:
        return piece.image.index not in self._refused.get(piece.image.job_id, ())

    def _hold(self, piece: Piece, missing: Iterable[str]) -> bool:
        """Whether the piece waits for another one that makes something it lacks."""
        sha256 = piece.image.sha256
        if piece.waited or sha256 is None or self._held >= MAX_HELD:
            return False
        keys = variant_keys(piece.recipe)
        for name in missing:
            for want in _sources(piece, sha256, keys[name]):
                if want in self._making:
                    self._making[want].append(piece)
                    self._held += 1
                    return True
        return False

    def _note_making(self, piece: Piece, missing: Iterable[str]) -> None:
        image = piece.image
        if image.sha256 is None:
            return
        keys = variant_keys(piece.recipe)
        wants = [(image.sha256, keys[name], piece.analyse) for name in missing]
        new = [want for want in dict.fromkeys(wants) if want not in self._making]
        for want in new:
            self._making[want] = []
        if new:
            self._makers[image.key] = new


def _sources(piece: Piece, sha256: str, key: str) -> tuple[Want, ...]:
    """Whose output of a variant would do for the piece."""
    analysed = (sha256, key, True)
    return (analysed,) if piece.analyse else ((sha256, key, False), analysed)
