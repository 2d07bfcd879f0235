"""The database is looked over before anything trusts it: at every start, at every backup, and
when somebody asks.

Nothing is changed by it, so what is damaged stays as it was found.
"""

from __future__ import annotations

import math
import shlex
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from io import RawIOBase
from pathlib import Path
from typing import Any

from imgsvc import __version__
from imgsvc.domain.ids import is_id
from imgsvc.errors import StartError
from imgsvc.files.errnos import TOO_MANY_FILES
from imgsvc.store import wal
from imgsvc.store.commit_count import COUNTED_SINCE, SELECT, count_file, read_count
from imgsvc.store.holders import find_holders
from imgsvc.store.room import wants_room
from imgsvc.store.scripts import APPLICATION_ID, load_scripts
from imgsvc.store.sql import JOBS
from imgsvc.store.uris import database_uri
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

MAGIC = b"SQLite format 3\0"

SMALL_BYTES = 128 << 20
"""Up to here every row is held against the rules of its table, which costs some 4 µs a row; a
larger database is checked for its structure alone, which costs a quarter of that."""

CHECK_S = 30.0
"""A database that takes longer than this is served before it is checked to its end."""

_UNFINISHED_WITH_FILES = """
SELECT count(*) FROM jobs JOIN images ON images.job_id = jobs.id
WHERE jobs.finished_at IS NULL AND NOT jobs.hidden
AND path IS NULL AND sha256 IS NOT NULL
AND images.state NOT IN ('completed', 'failed', 'cancelled')
"""
"""Hidden jobs may have lost theirs: the start is about to remove them."""

_READ_AT_ONCE = 1 << 20
_STEPS_BETWEEN_LOOKS = 100_000
_SHORT_S = 1.0


class Damage(Exception):
    """What is wrong with a database; for the log, not for clients."""


def examine(path: Path, *, thoroughly: bool = False, in_use: bool = False) -> int:
    """Whether this is our database, sound, whole, and not a newer version's. Raises StartError.
    Blocking.

    Returns its schema's version, 0 for one that holds nothing yet, or is not there: it is about to
    be made.
    thoroughly: however long it takes. in_use: by a server, whose log cannot be judged while it is
    written.
    """
    if not check_there(path):
        return 0
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError as exc:
        raise unreadable(f"The database {path}", exc) from exc
    if head != MAGIC:
        raise _damaged(path, "it does not begin as a database does")
    if not in_use:
        _check_beginning_of_log(path)
    began_s = time.monotonic()
    try:
        # To close any descriptor of a file ends all locks that this process has on it, SQLite's
        # too: others would take the log for theirs alone (https://www.sqlite.org/howtocorrupt.html).
        with ExitStack() as later, closing(open_untouched(path)) as connection:
            version = _check_all(path, connection, later, thoroughly=thoroughly, in_use=in_use)
    except (Damage, UnicodeError) as exc:  # a name in the schema may be no text any more
        raise _damaged(path, str(exc)) from exc
    except sqlite3.Error as exc:
        raise explain(path, exc) from exc
    except OSError as exc:
        if exc.errno in TOO_MANY_FILES:
            raise unreadable(f"The database {path}", exc) from exc
        raise _damaged(path, f"the disk does not give it back: {exc.strerror}") from exc
    took_s = time.monotonic() - began_s
    if took_s > _SHORT_S:
        log.info("database_checked", took_s=round(took_s, 1))
    return version


def _check_all(
    path: Path, connection: sqlite3.Connection, later: ExitStack, *, thoroughly: bool, in_use: bool
) -> int:
    """Its schema's version. later: closes files when the connection is closed. Raises StartError,
    Damage.
    """
    version = _check_ours(path, connection)
    if not version:
        _check_no_jobs(path, "nothing is in it")
    if not in_use:
        _check_log(path, later)
    _check_schema(connection, version)
    limit_s = math.inf if thoroughly else CHECK_S
    with_rules = thoroughly or path.stat().st_size <= SMALL_BYTES
    _check_pages(path, later, with_rules=with_rules, limit_s=limit_s)
    _check_references(connection, limit_s)
    if version >= COUNTED_SINCE:
        _check_commits(path, connection)
    return version


def check_there(path: Path) -> bool:
    """Whether there is one, and it is not empty. Raises StartError where files of jobs are there
    all the same. Blocking.
    """
    if path.exists() and path.stat().st_size:
        return True
    _check_no_jobs(path, "it is missing or empty")
    return False


def _check_no_jobs(path: Path, what: str) -> None:
    """For a database that knows of none: every file of theirs would belong to no row, and be
    swept. Raises StartError.
    """
    if jobs := sum(1 for _ in _job_folders(path)):
        raise _damaged(path, f"{what}, but jobs have files here: {jobs}")


def check_inputs(path: Path) -> None:
    """Images that are not finished have files: without any job's folder all of them would fail.
    For a database that `examine` has found sound. Raises StartError, unless somebody has given
    them up. Blocking.
    """
    if not path.exists() or any(_job_folders(path)):
        return
    given_up = _given_up(path)
    try:
        images = _count_unfinished(path)
    except sqlite3.Error as exc:
        raise explain(path, exc) from exc
    if images and given_up.is_dir():
        log.warning("files_given_up", images=images, said_by=str(given_up))
    elif images:
        raise StartError(
            f"No job has a folder in {given_up.parent}, and {images} images that are not finished "
            "had their files there. Is a disk not mounted? Put the files back, and start again. If "
            "they are lost, these images fail at the next start after: "
            f"mkdir -p {_quote(given_up)}"
        )


def _count_unfinished(path: Path) -> int:
    """Images that need files; 0 before an upgrade. Raises sqlite3.Error."""
    with closing(open_untouched(path)) as connection:
        if connection.execute("PRAGMA user_version").fetchone()[0] < COUNTED_SINCE:
            return 0
        images: int = connection.execute(_UNFINISHED_WITH_FILES).fetchone()[0]
        return images


def end_giving_up(path: Path) -> None:
    """A start has gone well: for the next one nothing is given up. Blocking."""
    try:
        _given_up(path).rmdir()
    except FileNotFoundError:
        return
    except OSError as exc:
        log.warning("giving_up_goes_on", said_by=str(_given_up(path)), reason=exc.strerror)


def _job_folders(path: Path) -> Iterator[Path]:
    return (folder for folder in path.parent.glob("jobs/*-*") if is_id(folder.name))


def _given_up(path: Path) -> Path:
    """The folder by which somebody says that the files of all jobs are lost."""
    return path.parent / "jobs" / "lost-files"


def check_writable(path: Path) -> None:
    """Whether a database that no server has could be written now; nothing is. Raises StartError.
    Blocking.
    """
    try:
        with (
            closing(open_untouched(path)) as witness,
            closing(sqlite3.connect(path, isolation_level=None)) as connection,
        ):
            witness.execute("PRAGMA user_version")  # only now does it share the log
            connection.execute("BEGIN IMMEDIATE")  # which alone may be had without the right, too
            connection.execute(JOBS["probe_write"])
            connection.execute("ROLLBACK")
    except sqlite3.Error as exc:
        raise explain(path, exc) from exc


def check_copy(path: Path) -> None:
    """Raises Damage for a database that is not sound. Blocking."""
    try:
        with ExitStack() as later, closing(open_untouched(path)):
            _check_pages(path, later, with_rules=path.stat().st_size <= SMALL_BYTES)
    except (sqlite3.Error, UnicodeError) as exc:
        raise Damage(str(exc)) from exc


def _check_ours(path: Path, connection: sqlite3.Connection) -> int:
    """Its schema's version. Raises StartError."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    # Before schema 15 databases were not marked.
    is_old = not application and (not tables or "write_probe" in tables)
    if application != APPLICATION_ID and not is_old:
        raise StartError(
            f"The database {path} belongs to another program. Nothing was changed. Choose "
            "another data folder, or move that file away."
        )
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    newest = max(load_scripts())
    if version > newest:
        raise StartError(
            f"The database {path} was written by a newer imgsvc: its schema is {version}, and "
            f"imgsvc {__version__} knows those up to {newest}. Nothing was changed. Install the "
            "newer version again, use another data folder, or go back to what an upgrade has "
            "set aside: docs/backup.md says how."
        )
    return version


def _check_beginning_of_log(path: Path) -> None:
    """Raises StartError."""
    log_file = _log_of(path)
    try:
        is_broken = wal.has_broken_header(log_file)
    except OSError as exc:
        raise unreadable(f"The log {log_file} of the database", exc) from exc
    if is_broken:
        raise _damaged_log(path, "its beginning is not that of a log")


def _check_log(path: Path, later: ExitStack) -> None:
    lost = wal.count_lost_commits(_log_of(path), wal.beside(path, "-shm"), later)
    if lost > 1:
        raise _damaged_log(path, f"{lost} commits in it cannot be read")


def _check_schema(connection: sqlite3.Connection, version: int) -> None:
    """Every table, column and index that this schema has. Raises Damage for the first that is
    missing.
    """
    with closing(sqlite3.connect(":memory:")) as model:
        for number, script in sorted(load_scripts().items()):
            if number <= version:
                model.executescript(script)
        missing = _parts(model) - _parts(connection)
    if missing:
        raise Damage(f"{min(missing)} is missing")


def _parts(connection: sqlite3.Connection) -> set[str]:
    columns = connection.execute(
        "SELECT 'the column ' || part.name || '.' || info.name "
        "FROM sqlite_schema AS part, pragma_table_info(part.name) AS info "
        "WHERE part.type = 'table'"
    )
    parts = connection.execute(
        "SELECT 'the ' || type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'"
    )
    return {row[0] for rows in (parts, columns) for row in rows}


def _check_pages(
    path: Path, later: ExitStack, *, with_rules: bool, limit_s: float = CHECK_S
) -> None:
    """Raises Damage. with_rules: rows are held against the CHECKs of their tables, too.

    Another connection must be open, which leaves this one nothing to do when it is closed.
    """
    deadline_s = time.monotonic() + limit_s
    _read_through(later.enter_context(path.open("rb", buffering=0)), deadline_s)
    # One that is opened for reading only does not learn the CHECKs.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA ignore_check_constraints = {'OFF' if with_rules else 'ON'}")
        row = _fetch_in_time(connection, "PRAGMA quick_check(1)", deadline_s)
    if row is not None and row[0] != "ok":
        raise Damage(" ".join(str(row[0]).split()))


def _check_references(connection: sqlite3.Connection, limit_s: float) -> None:
    deadline_s = time.monotonic() + limit_s
    row = _fetch_in_time(connection, "PRAGMA foreign_key_check", deadline_s)
    if row is not None:
        raise Damage(f"a row of {row[0]} belongs to one of {row[2]} that is not there")


def _check_commits(path: Path, connection: sqlite3.Connection) -> None:
    """Raises StartError where some are missing, Damage where nothing says how many there are."""
    counted = read_count(path)  # before the others, to which a server may go on adding
    found = connection.execute(SELECT).fetchone()
    if found is None:
        raise Damage("the number of its commits is missing")
    token, number = found
    if counted is not None and counted.token == token and number < counted.number:
        raise _incomplete(path, counted.number - number)


def _fetch_in_time(connection: sqlite3.Connection, check: str, deadline_s: float) -> Any:
    """The first row, if any; None when there is no time to find out."""
    connection.set_progress_handler(lambda: time.monotonic() > deadline_s, _STEPS_BETWEEN_LOOKS)
    try:
        return connection.execute(check).fetchone()
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        log.warning("database_half_checked", reason="it takes too long", advice="imgsvc doctor")
        return None
    finally:
        connection.set_progress_handler(None, 0)


def _read_through(file: RawIOBase, deadline_s: float) -> None:
    """From its first byte to its last: then the check, which leaps about, finds it in memory.
    That is five times faster than the check alone.
    """
    while time.monotonic() < deadline_s and file.read(_READ_AT_ONCE):
        pass


def open_untouched(path: Path) -> sqlite3.Connection:
    """A connection that only reads, and leaves the database and its log as they were when it is
    closed. Raises sqlite3.Error.

    The last one that may write saves the log into the database and removes it; one that may only
    read does neither, and would leave an empty log where there was none.
    """
    mode = "ro" if has_log(path) else "rw"
    connection = sqlite3.connect(database_uri(path, mode), uri=True)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def has_log(path: Path) -> bool:
    """Whether something stands beside a database that whoever may write would save into it: its
    log, or a journal of another program. Blocking.
    """
    return any(wal.beside(path, end).exists() for end in ("-wal", "-journal"))


def _log_of(path: Path) -> Path:
    return wal.beside(path, "-wal")


def _quote(path: Path, suffix: str = "") -> str:
    """For a shell."""
    return shlex.quote(f"{path}{suffix}")


def unreadable(what: str, exc: OSError) -> StartError:
    """Why a file cannot be used, and what to do."""
    return StartError(
        f"{what} cannot be read: {exc.strerror}. See whether this user may read and write it, and "
        "what the system's log says of its disk."
    )


def _damaged(path: Path, what: str) -> StartError:
    folder = path.parent
    return StartError(
        f"The database {path} is damaged: {what}. Nothing was changed. Move the folder aside and "
        f"restore the last backup:\n  mv {_quote(folder)} {_quote(folder, '.damaged')}\n"
        f"  unzip backup.zip -d {_quote(folder)}\n"
        "Without a backup much can still be saved; docs/backup.md says how."
    )


def _damaged_log(path: Path, what: str) -> StartError:
    file = _log_of(path)
    return StartError(
        f"The log {file} of the database is damaged: {what}. It holds what was accepted last. "
        "Nothing was changed. Restore the last backup into another folder, or go on without what "
        f"only the log holds.\n{_going_on(path)}  mv {_quote(file)} {_quote(file, '.damaged')}\n"
        "How to send them again, docs/backup.md says."
    )


def _incomplete(path: Path, missing: int) -> StartError:
    return StartError(
        f"The database {path} lacks its last commits: {missing}. Its log {_log_of(path)} was "
        "removed, emptied or cut off, or an older database was put in its place. Nothing was "
        "changed. Put back what is missing; or restore the last backup into another folder; or go "
        f"on without.\n{_going_on(path)}How to send them again, docs/backup.md says."
    )


def _going_on(path: Path) -> str:
    """What is to be done before, where commits are lost."""
    jobs = path.parent / "jobs"
    return (
        "A start removes files that the database does not know, so save them first:\n"
        f"  cp -al {_quote(jobs)} {_quote(jobs, '.saved')}\n  rm -f {_quote(count_file(path))}\n"
    )


def explain(path: Path, exc: sqlite3.Error) -> StartError:
    """Why a database cannot be used, and what to do."""
    primary = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return _damaged(path, str(exc))
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        holders = ", ".join(find_holders(path)) or "another program"
        return StartError(f"The database {path} is locked by {holders}: close it, and start again.")
    if primary in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return StartError(
            f"The database {path} cannot be written ({exc}): give this user the right to write "
            "the file, those beside it of the same name, and their folder; or see whether the "
            "disk is mounted read-only."
        )
    if wants_room(exc, path.parent):
        return StartError(
            f"There is not enough free disk space for the database {path}. Free some, and start "
            "again."
        )
    if primary == sqlite3.SQLITE_IOERR:
        return StartError(
            f"The disk under the database {path} fails ({exc}): see what the system's log says."
        )
    return StartError(f"The database {path} cannot be used: {exc}.")
