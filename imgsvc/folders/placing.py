"""The folder that results of a watched one belong in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imgsvc.files.places import Placement, Places
from imgsvc.files.state import STATE_FOLDER, is_out_folder
from imgsvc.folders.scan import is_gone

TOKEN = f"{STATE_FOLDER}/server"
"""The file that says whose folder it is: only one server knows what stands in it."""

_MOST_BYTES = 100

_UNMARKED = f"It has no folder {STATE_FOLDER}: mount what was there, or make it"
_ANOTHERS = (
    f"{TOKEN} in it is another server's, or an older one: mount what was there, or end that "
    "server and remove the file"
)


class OutGone(Exception):
    """The output folder is not there, or takes nothing now: everything waits for it."""


class DeliveryFolder:
    """An output folder of the server, known by the token in it; every method blocks.

    token: what is to stand in it; None while this server has never marked it.

    Results are copies. A link would let whoever changes a result change what the server keeps,
    and everything that is made from it later.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.token: str | None = None

    def make(self) -> None:
        """Whoever's it is, it is nobody's from now on. Raises OutGone."""
        with _waiting():
            self.root.mkdir(parents=True, exist_ok=True)
        self.mark("")

    def mark(self, token: str) -> None:
        """Raises OutGone."""
        with _waiting():
            places = Places(self.root)
            places.write(token.encode(), TOKEN)
            places.sync()

    def find_token(self) -> str:
        """Empty where somebody has made the folder of the mark by hand. Raises OutGone, also for
        the bare folder that an unmounted share leaves behind.
        """
        with _waiting():
            try:
                with Places(self.root).reading(TOKEN) as file:
                    return file.read(_MOST_BYTES).decode(errors="replace")
            except FileNotFoundError:
                if is_out_folder(self.root):
                    return ""
                self.root.stat()
        raise OutGone(_UNMARKED)

    def check(self) -> None:
        """Raises OutGone where it is not this server's."""
        if self.find_token() != self.token:
            raise OutGone(_ANOTHERS)

    def lacks(self, targets: Iterable[str]) -> bool:
        """Whether none of these is there, as far as that is certain."""
        return all(is_gone(self.root / target) for target in targets)

    def sweep(self) -> None:
        """Remove what those who were killed have left in it. Raises OutGone."""
        self.check()
        Places(self.root).sweep_all()

    def place(self, placements: Sequence[Placement], stale: Iterable[str]) -> None:
        """Put all files of one image where they belong, durably.

        stale: results of an older content of it, which go. Raises OutGone when nothing can be
        put there now, and other OSErrors for what stands in the way of this one alone.
        """
        places = Places(self.root)
        try:
            for placement in placements:
                places.copy(placement.source, placement.target)
            for name in set(stale) - {placement.target for placement in placements}:
                places.remove(name)
            places.sync()
        except OSError as exc:
            if places.takes_nothing(exc):
                raise OutGone(exc.strerror or str(exc)) from exc
            raise


@contextmanager
def _waiting() -> Iterator[None]:
    """Whatever the system says is waited for."""
    try:
        yield
    except OSError as exc:
        raise OutGone(exc.strerror or str(exc)) from exc
