"""Names of results: one rule for the ZIP, downloads, `run` and `watch`.

`{stem}.{ext}` when the recipe has one variant, `{stem}-{variant}.{ext}` otherwise, in the
input's relative folder. Where two inputs would collide, both keep their whole name
(`a.jpg.webp`, `a.png.webp`), then `-2`, `-3`… follow in index order.

Collisions are decided from the names of all inputs of a job and from its recipe, never from
what is finished, so that a name does not change while the job runs; and as a file system
does that knows no case and no Unicode normal forms, so that results can be carried to macOS
and Windows. Every name is safe to join to a folder there too, whatever a client sent.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from imgsvc.domain.rendering import EXTENSIONS

MAX_COMPONENT_BYTES = 255
"""Longest file name that ext4, APFS and NTFS all take, counted in UTF-8."""

SAME_FORMAT = "same"
"""A variant's format that follows the input's, and is known only once it is made."""

_EXTENSION = re.compile(r"(?<=[^.])\.[A-Za-z0-9]{1,8}\Z")
_DRIVE = re.compile(r"\A[A-Za-z]:")
_REFUSED_BY_WINDOWS = str.maketrans(dict.fromkeys('<>:"|?*', "_"))
# learn.microsoft.com/windows/win32/fileio/naming-a-file: reserved with any extension too
_RESERVED = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3]) *(?:\..*)?",
    re.IGNORECASE,
)
_DROPPED_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_BIDI_CONTROLS = frozenset(map(chr, (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F),
                                     *range(0x2066, 0x206A))))  # fmt: skip

NUMBER_BYTES = 8
"""What `-2`, `-3`… may come to."""

ANY_EXT = frozenset(EXTENSIONS.values())
USUAL_EXTENSIONS = {
    ".jpg": "jpg", ".jpeg": "jpg", ".jpe": "jpg", ".jfif": "jpg", ".png": "png",
    ".webp": "webp", ".gif": "gif", ".tif": "tif", ".tiff": "tif", ".avif": "avif",
}  # fmt: skip
"""What an input of this name gives under SAME_FORMAT, unless its name lies."""


def without_controls(text: str) -> str:
    """`text` without control characters, bidirectional overrides and line separators.

    What is left moves no cursor and hides no extension on a terminal. Halves of surrogate
    pairs, as in file names that are not valid UTF-8, become `_`.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "_" if unicodedata.category(char) == "Cs" else char
        for char in text
        if char not in _BIDI_CONTROLS and unicodedata.category(char) not in _DROPPED_CATEGORIES
    )


class ResultNames:
    """Where the results of one job belong.

    inputs: index and name of every image of the job; a name may be hostile.
    variants: name and format of every variant of its recipe; a format is a key of
        EXTENSIONS, or SAME_FORMAT.
    """

    def __init__(
        self, inputs: Iterable[tuple[int, str]], variants: Sequence[tuple[str, str]]
    ) -> None:
        self._shape = Shape(variants)
        parsed = sorted((parse_input(*entry) for entry in inputs), key=lambda one: one.index)
        self._choices = _Chooser(parsed, self._shape).choose()

    def __contains__(self, index: int) -> bool:
        """Whether there is an input of this index."""
        return index in self._choices

    def path(self, index: int, variant: str, format_: str) -> str:
        """Relative path, with `/`, of the finished file of `variant`, which is a `format_`.

        Raises KeyError for an image, a variant or a format that the job does not have.
        """
        return self._shape.path(self._choices[index], variant, format_)


@dataclass(frozen=True, slots=True)
class InputName:
    """An input's name made safe. `folder` is empty or ends in `/`; `extension` has its dot."""

    index: int
    folder: str
    stem: str
    extension: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What an input's results are called, less `-variant.ext`.

    only_ext: the extension for which `usual` is this input's alone; a result with another
        is called `fallback`. None: `usual` holds for all.
    """

    usual: str
    only_ext: str | None = None
    fallback: str = ""

    def base(self, ext: str) -> str:
        return self.usual if self.only_ext in {None, ext} else self.fallback


class Shape:
    """What the results of every input of a recipe have in common.

    tails: what follows a base, for each variant: `-variant` or nothing, and the extension;
        None where that follows the input's.
    """

    def __init__(self, variants: Sequence[tuple[str, str]]) -> None:
        self.suffixes = {name: f"-{name}" if len(variants) > 1 else "" for name, _ in variants}
        self.tails = [
            (self.suffixes[name], None if format_ == SAME_FORMAT else EXTENSIONS[format_])
            for name, format_ in variants
        ]
        self._is_open = all(ext is None for _, ext in self.tails)
        longest = max(map(len, self.suffixes.values()), default=0)
        self._room_bytes = MAX_COMPONENT_BYTES - longest - len(".") - max(map(len, ANY_EXT))

    def base(self, one: InputName, end: str) -> str:
        """The stem, shortened so that every result fits into a file name, and `end`."""
        return one.folder + shorten(one.stem, self._room_bytes - len(end)) + end

    def expected_ext(self, one: InputName) -> str | None:
        """The extension of all results of this input, if its name is honest.

        None when that cannot be told, or when a variant names a format, where inputs of
        one stem collide anyhow.
        """
        return USUAL_EXTENSIONS.get(one.extension.lower()) if self._is_open else None

    def path(self, choice: Choice, variant: str, format_: str) -> str:
        """Relative path, with `/`, of the finished file of `variant`, which is a `format_`.

        Raises KeyError for a variant or a format that there is not.
        """
        ext = EXTENSIONS[format_]
        return f"{choice.base(ext)}{self.suffixes[variant]}.{ext}"


class _Chooser:
    """Gives every input a base of its own. A claim is a path it could need, as compared.

    Ten thousand inputs with 32 variants could need millions of paths, so only those are held
    that tell whether two inputs meet.
    """

    def __init__(self, inputs: Sequence[InputName], shape: Shape) -> None:
        self._inputs = inputs
        self._shape = shape
        self._base = shape.base
        self._last_number: Counter[str] = Counter()
        self._telling = _find_telling(shape.tails)
        self._folders: set[str] = {
            claim for folder in {one.folder for one in inputs} for claim in folders_above(folder)
        }
        self._taken: set[str] = set()

    def choose(self) -> dict[int, Choice]:
        sharers = Counter(comparable(one.folder + one.stem) for one in self._inputs)
        wanted: Counter[str] = Counter()
        exts: dict[int, str | None] = {}
        for one in self._inputs:
            alone = sharers[comparable(one.folder + one.stem)] == 1
            exts[one.index] = None if alone else self._shape.expected_ext(one)
            wanted.update(self._claims(self._base(one, ""), exts[one.index]))
        return {one.index: self._choose_one(one, exts[one.index], wanted) for one in self._inputs}

    def _choose_one(self, one: InputName, only_ext: str | None, wanted: Counter[str]) -> Choice:
        base = self._base(one, "")
        if self._meets_folder(base, only_ext) or any(
            wanted[claim] > 1 for claim in self._claims(base, only_ext)
        ):
            return Choice(self._take(one, one.extension, None))
        usual = self._take(one, "", only_ext)
        if only_ext is None:
            return Choice(usual)
        return Choice(usual, only_ext, self._take(one, one.extension, None))

    def _take(self, one: InputName, extension: str, only_ext: str | None) -> str:
        """The first free one of base, base-2, base-3…, which is taken from then on."""
        for base in self._candidates(one, extension):
            claims = list(self._claims(base, only_ext))
            if self._taken.isdisjoint(claims) and not self._meets_folder(base, only_ext):
                self._taken.update(claims)
                return base
        raise AssertionError("numbers do not end")

    def _candidates(self, one: InputName, extension: str) -> Iterator[str]:
        """Numbers go on where they stopped for inputs that differ only in what a number
        may cut off, so that ten thousand such names cost no ten thousand tries each.
        """
        yield self._base(one, extension)
        alike = comparable(self._base(one, extension + " " * NUMBER_BYTES))
        while True:
            self._last_number[alike] += 1
            yield self._base(one, f"{extension}-{self._last_number[alike] + 1}")

    def _claims(self, base: str, only_ext: str | None) -> Iterator[str]:
        return _paths(comparable(base), self._telling, only_ext)

    def _meets_folder(self, base: str, only_ext: str | None) -> bool:
        paths = _paths(comparable(base), self._shape.tails, only_ext)
        return bool(self._folders) and not self._folders.isdisjoint(paths)


_Tail = tuple[str, str | None]
"""What follows a base, as in Shape."""


def _paths(start: str, tails: Iterable[_Tail], only_ext: str | None) -> Iterator[str]:
    for suffix, own_ext in tails:
        ext = own_ext or only_ext
        for each in (ext,) if ext else ANY_EXT:
            yield f"{start}{suffix}.{each}"


def _find_telling(tails: Sequence[_Tail]) -> list[_Tail]:
    """Enough of them to see whether results of two inputs meet.

    Where the bases are equal any tail tells, best one whose extension is known; different
    bases meet only by suffixes one of which ends in the other.
    """
    first = next((tail for tail in tails if tail[1] is not None), tails[0])
    alike = [
        one
        for one in tails
        if any(
            one is not other and (one[0].endswith(other[0]) or other[0].endswith(one[0]))
            for other in tails
        )
    ]
    return list(dict.fromkeys([first, *alike]))


def parse_input(index: int, name: str) -> InputName:
    raw = _DRIVE.sub("", without_controls(name).replace("\\", "/"))
    *folders, last = (_safe_component(part) for part in raw.split("/"))
    last = last or f"image-{index}"
    match = _EXTENSION.search(last)
    extension = match[0] if match else ""
    short = (shorten(part, MAX_COMPONENT_BYTES).rstrip(". ") for part in folders)
    return InputName(
        index=index,
        folder="".join(f"{part}/" for part in short if part),
        stem=last.removesuffix(extension),
        extension=extension,
    )


def _safe_component(part: str) -> str:
    """A file name that is refused nowhere for its characters; empty for `.`, `..` and such."""
    safe = part.translate(_REFUSED_BY_WINDOWS).strip(" ").rstrip(". ")
    return f"_{safe}" if _RESERVED.fullmatch(safe) else safe


def shorten(text: str, max_bytes: int) -> str:
    if len(text) * 4 <= max_bytes:
        return text
    return text.encode()[:max_bytes].decode(errors="ignore")


def comparable(path: str) -> str:
    """Equal for paths that some file system takes for one (Unicode, canonical caseless)."""
    if path.isascii():
        return path.lower()
    folded = unicodedata.normalize("NFD", path).casefold()
    return unicodedata.normalize("NFD", folded)


def folders_above(folder: str) -> Iterator[str]:
    """Folders are claims too: a file cannot stand where a folder must be."""
    parts = comparable(folder).split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        yield "/".join(parts[:depth])
