from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imgsvc.errors import StartError
from imgsvc.store.lock import DataFolderLock, Holder

HOLD = """
import sys
from pathlib import Path
from imgsvc.store.lock import DataFolderLock
DataFolderLock(Path(sys.argv[1])).acquire("http://127.0.0.1:8080")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_server_is_told_who_has_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        lock = DataFolderLock(path)
        with pytest.raises(StartError) as caught:
            lock.acquire()
        assert f"process {other.pid} at http://127.0.0.1:8080" in caught.value.message
        assert str(tmp_path) in caught.value.message
        assert lock.holder() == Holder(other.pid, "http://127.0.0.1:8080")
        other.kill()
        other.wait()
        lock.acquire()
        lock.release()


def test_a_folder_stays_locked_when_somebody_removes_the_file(tmp_path: Path) -> None:
    lock = DataFolderLock(tmp_path / "lock")
    lock.acquire()
    (tmp_path / "lock").unlink()
    with pytest.raises(StartError, match="in use by another process"):
        DataFolderLock(tmp_path / "lock").acquire()
    lock.release()
    lock.acquire()
    lock.release()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    first, second = DataFolderLock(tmp_path / "lock"), DataFolderLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(StartError):
        second.acquire()
    first.release()
    assert first.holder() is None
    second.acquire()
    second.release()
    second.release()


def test_the_url_can_be_announced_once_it_is_known(tmp_path: Path) -> None:
    lock = DataFolderLock(tmp_path / "lock")
    with pytest.raises(RuntimeError):
        lock.announce("http://localhost")
    lock.acquire()
    assert lock.holder() == Holder(os.getpid(), None)
    lock.announce("http://a-rather-long-name.example:8080")
    lock.announce("http://b:1")
    assert lock.holder() == Holder(os.getpid(), "http://b:1")
    lock.release()


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError):
        DataFolderLock(tmp_path / "missing" / "lock").acquire()


def test_garbage_in_the_lock_file_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for text in ("", "{", "[]", '{"pid": "x", "url": null}'):
        path.write_text(text)
        assert DataFolderLock(path).holder() is None


def _die(path: Path, *, stopping: bool) -> None:
    """As a process does whose end lets go of its locks, and writes nothing."""
    lock = DataFolderLock(path)
    lock.acquire()
    lock.note_recovered()
    if stopping:
        lock.note_stop()
    _vanish(lock, path)


def _vanish(lock: DataFolderLock, path: Path) -> None:
    content = path.read_bytes()
    lock.release()
    path.write_bytes(content)


@pytest.mark.parametrize("stopping", [False, True])
def test_who_was_asked_to_stop_has_not_died_however_it_ended(
    tmp_path: Path, stopping: bool
) -> None:
    _die(tmp_path / "lock", stopping=stopping)
    lock = DataFolderLock(tmp_path / "lock")
    lock.acquire()
    assert lock.was_abandoned
    assert lock.died is not stopping
    lock.release()


@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("stopping", [False, True])
def test_a_start_that_put_nothing_right_leaves_that_to_the_next_one(
    tmp_path: Path, stopping: bool, is_killed: bool
) -> None:
    path = tmp_path / "lock"
    _die(path, stopping=stopping)
    lock = DataFolderLock(path)
    lock.acquire()
    if is_killed:
        _vanish(lock, path)
    else:
        lock.release()
    lock.acquire()
    assert lock.was_abandoned
    assert lock.died is not stopping
    lock.note_recovered()
    lock.release()
    lock.acquire()
    assert not lock.was_abandoned
    lock.release()


def test_a_first_start_that_is_killed_before_it_works_on_anything_has_not_died(
    tmp_path: Path,
) -> None:
    lock = DataFolderLock(tmp_path / "lock")
    lock.acquire()
    _vanish(lock, tmp_path / "lock")
    lock.acquire()
    assert lock.was_abandoned
    assert not lock.died
    lock.release()


def test_a_lock_whose_disk_became_read_only_is_let_go_and_the_next_start_looks_after_what_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    lock = DataFolderLock(tmp_path / "lock")
    lock.acquire()
    lock.note_recovered()
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refuse)
        lock.release()
    lock.acquire()
    assert lock.was_abandoned
    lock.release()


def test_who_failed_leaves_something_to_be_put_right(tmp_path: Path) -> None:
    lock = DataFolderLock(tmp_path / "lock")
    lock.acquire()
    lock.note_recovered()
    lock.note_failure()
    lock.release()
    lock.acquire()
    assert lock.was_abandoned
    assert lock.died
    lock.note_recovered()
    lock.release()
    lock.acquire()
    assert not lock.was_abandoned
    lock.release()


def test_what_it_says_is_on_stable_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "lock", b""

    def note(file: int) -> None:
        nonlocal synced
        synced = os.pread(file, 1000, 0)

    monkeypatch.setattr(os, "fsync", note)
    lock = DataFolderLock(path)
    lock.acquire()
    for step in (lock.note_recovered, lambda: lock.announce("http://a:1"), lock.note_stop):
        step()
        assert synced == path.read_bytes()
    lock.release()


def test_since_when_something_may_have_been_left_is_kept_until_it_is_put_right(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lock"
    _die(path, stopping=False)
    (tmp_path / "made").touch()
    made_ns = (tmp_path / "made").stat().st_mtime_ns
    for _ in range(2):
        lock = DataFolderLock(path)
        lock.acquire()
        assert 0 < lock.since_ns <= made_ns
        lock.release()
    path.write_text("torn by a power cut")
    lock.acquire()
    assert lock.since_ns == 0
    lock.note_recovered()
    assert lock.since_ns >= made_ns
    lock.release()
