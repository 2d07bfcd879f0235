"""What stands in a folder: regular files, whoever put them there and whatever they are called.

Folders that commands put their results into are left alone.

Links are never followed. One that leads to something inside the folder adds nothing, since
that is seen where it stands; one that leads out must not make the program read what nobody
meant it to.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from imgsvc.files.state import STATE_FOLDER, is_out_folder
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

Fingerprint = tuple[int, int, int]
"""Size in bytes, time of the last change in nanoseconds since 1970, inode: what changes when a
file's content does.
"""

UNFINISHED_ENDINGS = (".part", ".tmp", ".crdownload", ".partial", "~")
"""What programs call files that they have not finished, or keep for themselves."""

_NOFOLLOW = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})


class FolderGone(Exception):
    """The folder is not there, or what stands there is not what it was: a network share that is
    not mounted leaves an empty folder. Nothing may be concluded from what is missing in it.
    """


class FileChanged(OSError):
    """A file is no longer the one that was seen."""

    def __init__(self) -> None:
        super().__init__(errno.ESTALE, "It has changed")


class Sighting(NamedTuple):
    """A file as it was seen. name: relative to the folder, with `/`, as `os.fsdecode` gives it."""

    name: str
    root: str
    size_bytes: int
    mtime_ns: int
    inode: int

    @property
    def path(self) -> Path:
        return Path(self.root, self.name)

    @property
    def fingerprint(self) -> Fingerprint:
        return self.size_bytes, self.mtime_ns, self.inode


class Folder:
    """A folder that is looked at again and again; every method blocks.

    leave_out: folders that are not looked into, inside or outside of it, there or not.
    has_inodes: False where a file's inode is not the same at every look, as on some network
        file systems; it counts as 0 then.
    folders: those below it that the looks so far have found, "" for itself, others with `/` at
        their ends. A full scan finds them anew.
    """

    def __init__(self, root: Path, leave_out: Sequence[Path] = ()) -> None:
        self.root = root.absolute()
        self._leave_out = tuple(leave_out)
        self.has_inodes = True
        self._noted: set[str] = set()
        self._filled_device: int | None = None
        self.folders: frozenset[str] = frozenset()

    def identify(self) -> tuple[int, int]:
        """Changes when another folder stands in the place. Raises FolderGone."""
        try:
            facts = self.root.stat()
        except OSError as exc:
            raise FolderGone(exc.strerror or str(exc)) from exc
        if not stat.S_ISDIR(facts.st_mode):
            raise FolderGone("It is not a folder")
        return facts.st_dev, facts.st_ino

    def scan(self) -> list[Sighting]:
        """All files, by name. Raises FolderGone."""
        device, _ = self.identify()
        folders: set[str] = set()
        found = list(self._walk("", folders))
        is_empty = not found and len(folders) == 1
        if is_empty and self._filled_device not in {None, device}:
            raise FolderGone("It is empty: what was mounted there is gone")
        if not is_empty:
            self._filled_device = device
        self.folders = frozenset(folders)
        return found

    def find_gone(self, names: Iterable[str]) -> set[str]:
        """Those that are not there, as far as that is certain."""
        if self._filled_device is None:
            return set()  # what belongs here may not be mounted yet
        try:
            if self.identify()[0] != self._filled_device:
                return set()
        except FolderGone:
            return set()
        return {name for name in names if is_gone(self.root / name)}

    def look(self, names: Collection[str]) -> list[Sighting]:
        """The files of these names, and all files below those that are folders."""
        if not names:
            return []
        found: dict[str, Sighting] = {}
        folders: set[str] = set()
        left_out, checked = self._left_out(), {"": True}
        for name in sorted(set(names)):
            for sighting in self._look_at(name.strip("/"), folders, left_out, checked):
                found[sighting.name] = sighting
        self.folders |= folders
        return list(found.values())

    def open(self, sighting: Sighting) -> BinaryIO:
        """Open a file that was seen. Raises FileChanged when it is another by now, OSError.

        Folder by folder and never through a link, whatever was put in its way since.
        """
        try:
            fd = self._descend(sighting.name)
        except OSError as exc:
            if exc.errno in {*_GONE, errno.ELOOP, errno.ENXIO}:
                raise FileChanged from exc
            raise
        file = os.fdopen(fd, "rb")
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or self.fingerprint_of(facts) != sighting.fingerprint:
            file.close()
            raise FileChanged
        return file

    def fingerprint_of(self, facts: os.stat_result) -> Fingerprint:
        return facts.st_size, facts.st_mtime_ns, facts.st_ino if self.has_inodes else 0

    def _descend(self, name: str) -> int:
        fd = os.open(self.root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        *above, last = name.split("/")
        for part, flags in (*((part, os.O_DIRECTORY) for part in above), (last, 0)):
            outer = fd
            try:
                fd = os.open(part, _NOFOLLOW | flags, dir_fd=outer)
            finally:
                os.close(outer)
        return fd

    def _walk(self, folder: str, folders: set[str]) -> Iterator[Sighting]:
        """folder: empty or with `/` at its end. folders: takes what was walked through."""
        left_out, root = self._left_out(), str(self.root)
        pending = [folder]
        while pending:
            above = pending.pop()
            if above.rstrip("/") in left_out:
                continue
            below, listed = [], self._list(above)
            if above and is_out_folder(os.path.join(root, above)):  # noqa: PTH118
                self._note_results(above)
                continue
            for entry in listed:
                name = above + entry.name
                if is_passed_over(entry.name):
                    continue
                facts = self._read_facts(name, entry)
                if facts is None:
                    continue
                if stat.S_ISLNK(facts.st_mode):
                    self._note_link(name)
                elif stat.S_ISDIR(facts.st_mode):
                    below.append(f"{name}/")
                elif stat.S_ISREG(facts.st_mode):
                    yield Sighting(name, root, *self.fingerprint_of(facts))
            folders.add(above)
            pending += reversed(below)

    def _list(self, folder: str) -> list[os.DirEntry[str]]:
        """In the order of their names. An unreadable folder is noted, and looked for again."""
        try:
            with os.scandir(os.path.join(self.root, folder)) as entries:  # noqa: PTH118
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as exc:
            if not folder:
                raise FolderGone(exc.strerror or str(exc)) from exc
            if exc.errno not in _GONE:
                self.note_unreadable(folder, exc)
            return []
        self._noted.discard(folder)
        return listed

    def _look_at(
        self, name: str, folders: set[str], left_out: Collection[str], checked: dict[str, bool]
    ) -> Iterator[Sighting]:
        if not name:
            yield from self._walk("", folders)
            return
        above, _, last = name.rpartition("/")
        if not self._is_inside(above, left_out, checked) or is_passed_over(last):
            return
        try:
            facts = os.lstat(os.path.join(self.root, name))  # noqa: PTH118
        except OSError:
            return
        if stat.S_ISLNK(facts.st_mode):
            self._note_link(name)
        elif stat.S_ISDIR(facts.st_mode):
            yield from self._walk(f"{name}/", folders)
        elif stat.S_ISREG(facts.st_mode):
            yield Sighting(name, str(self.root), *self.fingerprint_of(facts))

    def _is_inside(self, folder: str, left_out: Collection[str], checked: dict[str, bool]) -> bool:
        """Whether a scan would come through a folder: no link above it, nothing passed over, no
        results.

        checked: what is known of others already, "" among them.
        """
        if folder not in checked:
            above, _, last = folder.rpartition("/")
            path = os.path.join(self.root, folder)  # noqa: PTH118
            checked[folder] = (
                self._is_inside(above, left_out, checked)
                and folder not in left_out
                and not is_passed_over(last)
                and not os.path.islink(path)  # noqa: PTH114
                and not is_out_folder(path)
            )
        return checked[folder]

    def _read_facts(self, name: str, entry: os.DirEntry[str]) -> os.stat_result | None:
        """None for what is gone meanwhile, or stands in a folder that may only be listed."""
        try:
            return entry.stat(follow_symlinks=False)
        except OSError as exc:
            if exc.errno not in _GONE:
                self.note_unreadable(name, exc)
            return None

    def _left_out(self) -> frozenset[str]:
        """Relative to the root, what of the left out folders is inside."""
        root = os.path.realpath(self.root)
        real = (os.path.realpath(path) for path in self._leave_out)
        return frozenset(
            os.path.relpath(path, root) for path in real if path.startswith(f"{root}{os.sep}")
        )

    def note_unreadable(self, name: str, exc: OSError) -> None:
        """Say once that a file or folder cannot be read."""
        if name not in self._noted:
            self._noted.add(name)
            log.warning(
                "unreadable", folder=str(self.root), name=printable(name), reason=exc.strerror
            )

    def note_readable(self, name: str) -> None:
        """It can be read: the next time that it cannot is news again."""
        self._noted.discard(name)

    def _note_results(self, folder: str) -> None:
        """Say once that they are no images to be taken."""
        mark = folder + STATE_FOLDER
        if mark not in self._noted:
            self._noted.add(mark)
            log.warning("has_results", folder=str(self.root), name=printable(folder.rstrip("/")))

    def _note_link(self, name: str) -> None:
        if name in self._noted:
            return
        path = os.path.realpath(os.path.join(self.root, name))  # noqa: PTH118
        root = os.path.realpath(self.root)
        if path != root and not path.startswith(f"{root}{os.sep}"):
            self._noted.add(name)
            log.warning("link_leads_out", folder=str(self.root), name=printable(name))


def is_gone(path: Path) -> bool:
    """False where that cannot be told."""
    try:
        path.lstat()
    except OSError as exc:
        return exc.errno in _GONE
    return False


def is_passed_over(name: str) -> bool:
    """Whether a file or folder of this name is left alone."""
    return name.startswith(".") or name.lower().endswith(UNFINISHED_ENDINGS)


def printable(name: str) -> str:
    """For logs: what is no UTF-8 is shown as bytes."""
    return os.fsencode(name).decode(errors="backslashreplace")
