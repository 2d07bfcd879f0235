"""What became of every file of a folder that is watched: kept on disk, line by line.

A line is written before the files that it tells of are sent, and after what it says was done.
So whoever reads it again, after whatever end, repeats nothing and forgets nothing.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any, Self

from imgsvc.client.errors import LocalFileError, translating
from imgsvc.client.watching.entries import (
    Batch,
    Entry,
    Failure,
    SavedFile,
    State,
    entry_from,
    files_from,
    line_of,
)
from imgsvc.client.watching.journal_file import (
    is_same_file,
    let_go,
    lock_path,
    read_lines,
    take_lock,
    write_all,
)
from imgsvc.files.places import Places
from imgsvc.folders.scan import Sighting

_CLOSED = -1


class WatchJournal:
    """All methods block for a moment, and may be called in threads. Whoever goes through what
    they change takes a copy of it. One process at a time has a journal open.

    entries: by the file's name. failed: those that have failed. batches: by id, those that are
        not over.
    folder: that is watched; None in a new journal, until `begin`.
    loss: names the last time that the journal was lost, and with it the folder that it stands in,
        as long as results that were saved may be missing; None when none are.
    losses: how often that was since it was opened.
    device: of that folder.
    sending: a folder beside it for notes of what is on its way.
    """

    def __init__(self, path: Path) -> None:
        """Raises JournalBusy when another process has it open, LocalFileError."""
        self.path = path
        self.sending = path.parent / "sending"
        self.entries: dict[str, Entry] = {}
        self.failed: dict[str, Failure] = {}
        self.batches: dict[str, Batch] = {}
        self.folder: str | None = None
        self.loss: str | None = None
        self.losses = 0
        self._id: str = uuid.uuid4().hex
        self._turn = threading.Lock()
        with translating(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(path)
        self._is_torn = False
        arrived: set[str] = set()
        try:
            for line in read_lines(path):
                if line.get("event") == "job":
                    arrived.add(line["batch"])
                self._replay(line)
            self.sending.mkdir(exist_ok=True)
            self._remove_notes(arrived)
            self.device, self._file = path.parent.stat().st_dev, self._open()
        except OSError as exc:
            let_go(self._lock)
            raise LocalFileError(path, exc.strerror or "it cannot be written") from exc
        except (LookupError, TypeError, ValueError) as exc:
            os.close(self._lock)
            raise LocalFileError(path, "it holds a line that this version cannot read") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Whatever a thread still writes afterwards is refused."""
        with self._turn:
            let_go(self._file)
            let_go(self._lock)
            self._file = self._lock = _CLOSED

    def begin(self, folder: str) -> None:
        self._append("folder", folder=folder, id=self._id)

    def is_in_place(self) -> bool:
        """Whether the journal's file is the one that stands there."""
        with self._turn:  # or another thread closes the file meanwhile
            return is_same_file(self._file, self.path)

    def stands_there(self) -> bool:
        """Whether this journal does, in whatever older state. Raises OSError."""
        if not self.path.exists():
            return False
        with suppress(FileExistsError):
            self._check_owner()
            return True
        return False

    def write_anew(self) -> None:
        """Where the file was lost, put it back with all that is known, into a folder that is
        there. Raises JournalBusy, or LocalFileError, also where another watch's stands; then it
        goes on in the file that was lost.
        """
        with self._turn:
            if self._file == _CLOSED or is_same_file(self._file, self.path):
                return
            lock, file, loss = self._lock, self._file, self.loss
            try:
                self.path.parent.mkdir(exist_ok=True)
                if not is_same_file(lock, lock_path(self.path)):
                    lock = take_lock(self.path)
                self._check_owner()
                self.sending.mkdir(exist_ok=True)
                self.loss = uuid.uuid4().hex
                self._rewrite()
                device, file = self.path.parent.stat().st_dev, self._reopen()
            except OSError as exc:
                self.loss = loss
                if lock != self._lock:
                    let_go(lock)
                raise LocalFileError(self.path, exc.strerror or "it cannot be written") from exc
            olds = self._lock, self._file
            self.device, self._lock, self._file = device, lock, file
            self.losses += 1
            for old in {*olds} - {lock, file}:
                let_go(old)

    def is_known(self, sighting: Sighting, recipe: str) -> bool:
        entry = self.entries.get(sighting.name)
        return (
            entry is not None
            and entry.fingerprint == sighting.fingerprint
            and entry.recipe == recipe
        )

    def is_left(self, batch_id: str, name: str) -> bool:
        """Whether a file that was sent is not done, not failed, and not taken again since."""
        entry = self._current(batch_id, name)
        return entry is not None and entry.state is State.SENT

    def find_left(self, batch: Batch) -> list[str]:
        """Those of a batch's files that are."""
        return [name for name in batch.files if self.is_left(batch.id, name)]

    def count_left(self) -> int:
        """Of all batches."""
        return sum(len(self.find_left(batch)) for batch in list(self.batches.values()))

    def note_batch(
        self,
        batch_id: str,
        recipe: str,
        spec: Mapping[str, Any],
        sightings: Iterable[Sighting],
        choices: Mapping[str, str],
    ) -> None:
        """Before these files are sent. choices: what their results will be called."""
        files = [(one.name, *one.fingerprint, choices.get(one.name)) for one in sightings]
        facts: dict[str, Any] = {"recipe": recipe, "spec": dict(spec), "files": files}
        self._append("sent", durably=True, batch=batch_id, **facts)

    def note_job(
        self, batch_id: str, job_id: str, images: Collection[tuple[int, str, str | None]]
    ) -> None:
        """What a batch has come to. images: index, name and SHA-256 of each; the batch's other
        files have not arrived, and are unknown again.
        """
        self._append("job", durably=True, batch=batch_id, job=job_id, images=list(images))

    def note_done(
        self,
        batch_id: str,
        name: str,
        files: Sequence[SavedFile] = (),
        losses: int | None = None,
    ) -> bool:
        """losses: what it was before these were saved. False, and nothing is noted, where it is
        more by now, since they may have gone with their folder; None where that is no matter.
        """
        files = list(files)
        return self._append("done", losses=losses, batch=batch_id, name=name, files=files)

    def note_failed(self, batch_id: str, name: str, failure: Failure) -> None:
        self._append("failed", batch=batch_id, name=name, failure=astuple(failure))

    def note_touched(self, sighting: Sighting) -> None:
        """A file has changed in everything but its content."""
        self._append("touched", name=sighting.name, fingerprint=sighting.fingerprint)

    def note_restored(self, lost: Sequence[tuple[str, str]], over: str | None) -> None:
        """Results of these files will not come back. lost: the batch and the name of each, unless
        it was taken again since. over: the loss of which no others are missing.
        """
        self._append("restored", lost=list(lost), over=over)

    def drop(self, batch_id: str, names: Sequence[str]) -> None:
        """Files of a batch are unknown again, but for what their results are called; not those
        that were taken again since.
        """
        self._append("dropped", batch=batch_id, names=list(names))

    def forget(self, names: Sequence[str]) -> None:
        """Files are gone, and nothing is left of them."""
        self._append("forgotten", names=list(names))

    def end_batch(self, batch_id: str) -> None:
        self._append("ended", batch=batch_id)

    def _check_owner(self) -> None:
        """Raises FileExistsError when another watch's journal stands there."""
        for line in read_lines(self.path):
            if line.get("event") == "folder" and line.get("id") != self._id:
                raise FileExistsError(errno.EEXIST, "another watch has it; put its own back")

    def _append(
        self, event: str, *, durably: bool = False, losses: int | None = None, **facts: Any
    ) -> bool:
        """Raises LocalFileError; then nothing has changed. False where there are more losses."""
        line = {"event": event, **facts}
        data = (json.dumps(line) + "\n").encode()
        with self._turn:
            if losses not in {None, self.losses}:
                return False
            with translating(self.path):
                self._write(b"\n" + data if self._is_torn else data, durably=durably)
            self._is_torn = False
            self._replay(line)
        return True

    def _write(self, data: bytes, *, durably: bool) -> None:
        """Raises OSError; then nothing is written, or it is torn."""
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            write_all(self._file, data)
            if durably:
                os.fsync(self._file)
        except OSError:
            try:
                os.ftruncate(self._file, end)
            except OSError:
                self._is_torn = True
            raise

    def _replay(self, line: dict[str, Any]) -> None:
        replays: dict[str, Callable[..., None]] = {
            "folder": self._replay_folder,
            "entry": self._replay_entry,
            "sent": self._replay_sent,
            "job": self._replay_job,
            "done": self._replay_done,
            "failed": self._replay_failed,
            "touched": self._replay_touched,
            "lost": self._replay_lost,
            "restored": self._replay_restored,
            "dropped": self._replay_dropped,
            "forgotten": self._replay_forgotten,
            "ended": self._replay_ended,
        }
        if replay := replays.get(line.pop("event", "")):
            replay(**line)

    def _replay_folder(self, folder: str, id: str) -> None:
        self.folder, self._id = folder, id

    def _replay_entry(self, name: str, **facts: Any) -> None:
        entry = self.entries[name] = entry_from(facts)
        self.failed.pop(name, None)
        if entry.failure is not None:
            self.failed[name] = entry.failure

    def _replay_sent(
        self, batch: str, recipe: str, spec: Mapping[str, Any], files: Iterable[Sequence[Any]]
    ) -> None:
        sent = Batch(batch, recipe, spec, {})
        for name, size_bytes, mtime_ns, inode, choice in files:
            earlier = self.entries.get(name)
            standing = earlier.files if earlier else ()
            fingerprint = sent.files[name] = (size_bytes, mtime_ns, inode)
            self.entries[name] = Entry(fingerprint, recipe, batch, choice=choice, files=standing)
            self.failed.pop(name, None)
        self.batches[batch] = sent  # whole: others may be looking through it

    def _replay_job(self, batch: str, job: str, images: Iterable[Sequence[Any]]) -> None:
        sent = self.batches.get(batch)
        if sent is None:
            return
        sent.job_id = job
        for index, name, sha256 in images:
            sent.images[index] = name
            if entry := self._current(batch, name):
                entry.sha256, entry.job_id, entry.index = sha256, job, index
        arrived = set(sent.images.values())
        self._replay_dropped(batch, [n for n in self.find_left(sent) if n not in arrived])

    def _replay_done(self, batch: str, name: str, files: Iterable[Sequence[str]]) -> None:
        if entry := self._current(batch, name):
            entry.state, entry.files = State.DONE, files_from(files)

    def _replay_failed(self, batch: str, name: str, failure: Sequence[Any]) -> None:
        if entry := self._current(batch, name):
            entry.state = State.FAILED
            entry.failure = self.failed[name] = Failure(*failure)

    def _replay_touched(self, name: str, fingerprint: Sequence[int]) -> None:
        size_bytes, mtime_ns, inode = fingerprint
        if entry := self.entries.get(name):
            entry.fingerprint = size_bytes, mtime_ns, inode

    def _replay_lost(self, loss: str) -> None:
        self.loss = loss

    def _replay_restored(self, lost: Iterable[Sequence[str]], over: str | None) -> None:
        if over == self.loss:
            self.loss = None
        for batch, name in lost:
            if entry := self._current(batch, name):
                entry.sha256, entry.files = None, ()

    def _replay_dropped(self, batch: str, names: Iterable[str]) -> None:
        for name in names:
            entry = self._current(batch, name)
            if entry is None:
                continue
            self.failed.pop(name, None)
            if entry.choice is not None:
                entry.fingerprint, entry.state, entry.failure = None, State.DONE, None
            else:
                self.entries.pop(name, None)

    def _replay_forgotten(self, names: Iterable[str]) -> None:
        for name in names:
            self.failed.pop(name, None)
            self.entries.pop(name, None)

    def _replay_ended(self, batch: str) -> None:
        self.batches.pop(batch, None)

    def _current(self, batch_id: str, name: str) -> Entry | None:
        """The file's entry, unless a newer batch has it."""
        entry = self.entries.get(name)
        return entry if entry is not None and entry.batch == batch_id else None

    def _open(self) -> int:
        """The file to go on in: a new one without what is over, if there is room for it."""
        try:
            self._rewrite()
        except OSError:
            if not self.path.exists():
                raise
        return self._reopen()

    def _reopen(self) -> int:
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            size_bytes = os.fstat(file).st_size
            self._is_torn = size_bytes > 0 and os.pread(file, 1, size_bytes - 1) != b"\n"
        except OSError:
            let_go(file)
            raise
        return file

    def _rewrite(self) -> None:
        """The journal without what is over, as a new file that takes the old one's place."""
        text = "".join(json.dumps(line) + "\n" for line in self._lines())
        places = Places(self.path.parent)
        places.write(text.encode(), self.path.name)
        places.sync()

    def _remove_notes(self, arrived: Collection[str]) -> None:
        """Of batches that are jobs by now: an end came in between. Other journals' notes stay."""
        for note in self.sending.glob("*.jsonl"):
            if note.stem in arrived:
                with suppress(OSError):
                    note.unlink()

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self.folder is not None:
            yield {"event": "folder", "folder": self.folder, "id": self._id}
        if self.loss is not None:
            yield {"event": "lost", "loss": self.loss}
        for batch in self.batches.values():
            left = self.find_left(batch)
            files = [(name, *batch.files[name], None) for name in left]
            facts = {"batch": batch.id, "recipe": batch.recipe, "spec": batch.spec, "files": files}
            yield {"event": "sent", **facts}
            if batch.job_id is not None:
                images = [(n, name, None) for n, name in batch.images.items() if name in left]
                yield {"event": "job", "batch": batch.id, "job": batch.job_id, "images": images}
        # last, because a batch begins its files' entries anew
        for name, entry in self.entries.items():
            yield line_of(name, entry)
