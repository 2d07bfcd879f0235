"""From the paths of a command line to the files that are meant."""

from __future__ import annotations

import codecs
import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import click

from imgsvc.cli.output import say
from imgsvc.domain.logins import without_login
from imgsvc.domain.names import without_controls
from imgsvc.domain.product_list import find_columns
from imgsvc.domain.sniffing import HEAD_BYTES, may_be_image
from imgsvc.files.state import STATE_FOLDER, is_out_folder
from imgsvc.folders.scan import is_passed_over
from imgsvc.intake.csv_records import DELIMITERS

MAX_KINDS = 5
"""Kinds of files left out that are named, and links."""

LIST_HEAD_BYTES = 4096
"""How much of a file is looked at for the header of a product list."""

MAX_UNREADABLE = 20
"""Files and folders that are named as such."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to process. name: what it is called in the job, its folders joined by `/`."""

    path: Path
    name: str
    size_bytes: int


def is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def is_list(path: str) -> bool:
    """Whether it is to be sent as a product list."""
    is_named_so = path.lower().endswith((".csv", ".tsv"))
    return is_named_so and not is_url(path) and not Path(path).is_dir()


def find_list(files: Iterable[FoundFile]) -> Path | None:
    """The first that is a product list by its header, and no image. Blocking."""
    for path in (file.path for file in files if not may_be_image(file.path.name, b"")):
        head = _read_head(path, LIST_HEAD_BYTES)
        if begins_as_list(head) and not may_be_image(path.name, head[:HEAD_BYTES]):
            return path
    return None


def begins_as_list(head: bytes) -> bool:
    """Whether a file's first bytes are a header with all columns of a product list."""
    is_wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = head.decode("utf-16" if is_wide else "utf-8-sig", errors="replace")
    return any(
        all(find_columns([title.strip('" ') for title in line.split(delimiter)]).values())
        for line in text.splitlines()[:2]  # above it may stand `sep=;`
        for delimiter in DELIMITERS
    )


def _read_head(path: Path, size_bytes: int) -> bytes:
    """Nothing of what is no plain file, or cannot be read."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(size_bytes)
    return b""


def refuse_results(folder: Path) -> None:
    """Raises click.UsageError for a folder to be watched that commands put their results into."""
    if is_out_folder(folder):
        raise click.UsageError(
            f"{folder} has results of imgsvc, which would be taken for new images. Watch another "
            f"folder; or, if there are no results any more, remove {folder / STATE_FOLDER}."
        )


def refuse_out_above(folder: Path, out: Path) -> None:
    """Raises click.UsageError where results would stand in a folder of images."""
    if _real(folder).is_relative_to(_real(out)):
        raise click.UsageError(
            f"Results in {folder} itself, or above it, would be taken for new images: "
            "give --out another folder, inside of it if you like."
        )


def say_left_out(paths: Sequence[Path]) -> None:
    """Which files of folders are not sent: somebody may think that they are safe now."""
    links = [path for path in paths if _leads_nowhere(path)]
    folders = [path for path in paths if path.is_dir()]
    others = [path for path in paths if not _leads_nowhere(path) and not path.is_dir()]
    kinds = Counter(path.suffix.lower() or path.name for path in others)
    if others:
        verb = "file is" if len(others) == 1 else "files are"
        named = _name_some([kind for kind, _ in kinds.most_common()])
        say(f"{len(others)} {verb} left out, as no images: {named}")
    if links:
        what = "link that leads nowhere is" if len(links) == 1 else "links that lead nowhere are"
        say(f"{len(links)} {what} left out: {_name_some([path.name for path in links])}")
    if folders:
        what = "link to a folder is" if len(folders) == 1 else "links to folders are"
        advice = "To take what is in a folder, name it itself."
        named = _name_some([path.name for path in folders])
        say(f"{len(folders)} {what} left out: {named}. {advice}")


def _name_some(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_KINDS]) + (", …" if len(names) > MAX_KINDS else "")


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def find_files(
    paths: Sequence[str], leave_out: Path | None = None, left_out: list[Path] | None = None
) -> list[FoundFile]:
    """The files that `paths` mean: files, folders with all below them, or patterns.

    A single folder's files are named from there; beside other paths, from above it, so that
    they stay apart. Files of a pattern are named from its first folder that is one. Nothing
    is found twice.

    leave_out: a folder that is not looked into; the results of an earlier run stand there.
    left_out: gets the files of folders that are taken for no images, and are not found otherwise,
        links that lead nowhere, and those to folders that are not looked into otherwise.
    Raises click.UsageError when a path means nothing, of which it says what was left out, or is
    `leave_out` itself; and for all that cannot be read.
    """
    found: dict[Path, FoundFile] = {}
    skipped = _real(leave_out) if leave_out else None
    search = _Search(skipped)
    for given in paths:
        try:
            files = list(search.find(given, alone=len(paths) == 1))
        except OSError as exc:
            search.note(exc)
            files = []
        if not files and not search.unreadable:
            say_left_out([*search.left_out, *search.find_missed_folders()])
            raise click.UsageError(f"There are no images in {given}.")
        for file in files:
            found.setdefault(_absolute(file.path), file)
    if search.unreadable:
        raise click.UsageError(_tell_unreadable(list(search.unreadable.values())))
    if left_out is not None:
        left_out += dict.fromkeys(p for p in map(_absolute, search.left_out) if p not in found)
        left_out += dict.fromkeys(map(_absolute, search.find_missed_folders()))
    return list(found.values())


def _tell_unreadable(errors: Sequence[OSError]) -> str:
    names = [without_controls(str(error.filename)) for error in errors[:MAX_UNREADABLE]]
    if len(errors) == 1:
        return f"{names[0]} cannot be read: {errors[0].strerror}."
    lines = [f"{len(errors)} files or folders cannot be read:"]
    lines += [f"  {name}: {e.strerror}" for name, e in zip(names, errors, strict=False)]
    if len(errors) > MAX_UNREADABLE:
        lines.append(f"  … and {len(errors) - MAX_UNREADABLE} more")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Search:
    """skipped: a folder that is not looked into. left_out: what is taken for no image, or is a
    link that leads nowhere. linked: links to folders, which are not followed: they may lead in a
    circle. walked: real paths of the folders that were looked into. unreadable: by name.
    """

    skipped: Path | None
    left_out: list[Path] = field(default_factory=list)
    linked: list[Path] = field(default_factory=list)
    walked: set[str] = field(default_factory=set)
    unreadable: dict[str, OSError] = field(default_factory=dict)

    def find_missed_folders(self) -> Iterator[Path]:
        """Links to folders whose images are not found by another way."""
        return (path for path in self.linked if os.path.realpath(path) not in self.walked)

    def find(self, given: str, *, alone: bool) -> Iterator[FoundFile]:
        if not given:  # an unset shell variable is not the working directory
            raise click.UsageError("There is no file of an empty name.")
        path = Path(given)
        if path.is_dir():
            if _real(path) == self.skipped:
                raise click.UsageError(
                    f"Results in {given} itself would be taken for new images the next time: "
                    "give --out another folder, inside of it if you like."
                )
            above = "" if alone else f"{_real(path).name}/"
            yield from self._files_below(path, above)
        elif path.exists():
            yield from self._describe(path, path.name)
        else:
            yield from self._find_matches(given)

    def _find_matches(self, pattern: str) -> Iterator[FoundFile]:
        fixed = _fixed_part(Path(pattern))
        is_wanted = self._is_skipped(fixed)  # whoever names the folder for results means it
        found = set(self._expand(Path(pattern), is_wanted)) if glob.has_magic(pattern) else set()
        if not found and not self.unreadable:
            if "://" in pattern:
                url = without_login(pattern)
                raise click.UsageError(
                    f"{url} is no file; `submit` takes images by URLs of http and https."
                )
            raise click.UsageError(f"There is no file or folder {pattern}.")
        for path in sorted(found, key=str):
            if not is_wanted and self._is_skipped(path):
                continue
            name = path.relative_to(fixed).as_posix()
            if path.is_dir():
                yield from self._files_below(path, "" if path == fixed else f"{name}/")
            elif pattern.endswith("/"):
                continue
            elif _leads_nowhere(path):
                self.left_out.append(path)
            else:
                yield from self._describe(path, name)

    def _expand(self, pattern: Path, is_wanted: bool) -> Iterator[Path]:
        """As a shell would: nothing hidden, which Path.glob takes, and `**` follows no link, as
        glob.glob does, through circles too. is_wanted: also what is in the skipped folder.
        """
        if "**" not in pattern.parts:
            for folder in sorted(_searched_folders(pattern)):
                if is_wanted or not self._is_skipped(folder):
                    self._check_listing(folder)
            yield from map(Path, glob.glob(str(pattern)))  # noqa: PTH207
            return
        place = pattern.parts.index("**")
        rest = pattern.parts[place + 1 :]
        is_named = len(rest) > 1 or not glob.has_magic("".join(rest))  # and no `*` of `**/*`
        for top in filter(Path.is_dir, self._expand(Path(*pattern.parts[:place]), is_wanted)):
            for folder, files in self._walk_unhidden(top, is_wanted):
                if not rest:
                    yield from (folder, *files)
                    continue
                for path in self._expand(Path(glob.escape(str(folder)), *rest), is_wanted):
                    if is_named or not (path.is_symlink() and path.is_dir()):
                        yield path

    def _walk_unhidden(self, top: Path, is_wanted: bool) -> Iterator[tuple[Path, list[Path]]]:
        for where, folders, files in os.walk(top, onerror=self.note):
            here = Path(where)
            if not is_wanted and self._is_skipped(here):
                folders.clear()
                continue
            self.walked.add(os.path.realpath(here))
            folders[:] = [name for name in folders if not name.startswith(".")]
            self.linked.extend(filter(Path.is_symlink, (here / name for name in folders)))
            yield here, [here / name for name in files if not name.startswith(".")]

    def _is_skipped(self, path: Path) -> bool:
        folder = path if path.is_dir() else path.parent  # a link to a file is one of its own
        return self.skipped is not None and _real(folder).is_relative_to(self.skipped)

    def _files_below(self, folder: Path, above: str) -> Iterator[FoundFile]:
        for path in self._walk(folder):
            yield from self._describe(path, above + path.relative_to(folder).as_posix())

    def _describe(self, path: Path, name: str) -> Iterator[FoundFile]:
        """Nothing for what cannot be read."""
        try:
            yield FoundFile(path, name, path.stat().st_size)
        except OSError as exc:
            self.note(exc)

    def _check_listing(self, folder: Path) -> None:
        try:
            os.scandir(folder).close()
        except OSError as exc:
            self.note(exc)

    def note(self, error: OSError) -> None:
        """What is gone since it was seen might as well never have been there."""
        if not isinstance(error, FileNotFoundError):
            self.unreadable.setdefault(str(error.filename), error)

    def _walk(self, folder: Path) -> Iterator[Path]:
        """Images below a folder, in the order of their names: those that a watch would take, and
        files that links lead to.
        """
        for where, folders, files in os.walk(folder, onerror=self.note):
            here = Path(where)
            self.walked.add(os.path.realpath(here))
            folders[:] = sorted(
                name
                for name in folders
                if not is_passed_over(name) and _real(here / name) != self.skipped
            )
            self.linked.extend(filter(Path.is_symlink, (here / name for name in folders)))
            for name in sorted(files):
                path = here / name
                if is_passed_over(name):
                    continue
                try:
                    is_file = path.is_file()
                except OSError as exc:
                    self.note(exc)
                    continue
                if is_file and _may_be_image(path):
                    yield path
                elif is_file or _leads_nowhere(path):
                    self.left_out.append(path)


def _real(path: Path) -> Path:
    """Without links, but for those that lead in a circle, which `Path.resolve` refuses."""
    return Path(os.path.realpath(path))


def _absolute(path: Path) -> Path:
    """A link is a file of its own: its results belong where it stands."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _fixed_part(pattern: Path) -> Path:
    """The folder above the first part that is a pattern: `a/b` of `a/b/**/*.jpg`."""
    return Path(*takewhile(lambda part: not glob.has_magic(part), pattern.parts))


def _searched_folders(pattern: Path) -> set[Path]:
    """Those whose content a pattern is compared with; what cannot be read of them it passes over
    without a word.
    """
    parts = [path for path in (pattern, *pattern.parents) if glob.has_magic(path.name)]
    tops = {path.parent for path in parts}
    return {Path(found) for top in tops for found in glob.glob(f"{top}/")}  # noqa: PTH207


def _may_be_image(path: Path) -> bool:
    if may_be_image(path.name, b""):
        return True
    return may_be_image(path.name, _read_head(path, HEAD_BYTES))
