"""What a worker cannot do, tried from inside."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import stat
import sys
from pathlib import Path

import pytest

from imgsvc.domain.rendering import LossCause, TaskKey
from imgsvc.workers import landlock, limits, sandbox
from imgsvc.workers.engine import PoolBroken
from imgsvc.workers.syscalls import find_machine
from tests.workers import escapes
from tests.workers.conftest import Pools
from tests.workers.prison import Wish, assert_refused, open_prison, try_out

pytestmark = pytest.mark.skipif(
    bool(sandbox.find_gaps()), reason="this machine cannot confine a process"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder as a server has it; the slots of the pool stand beside what is in it."""
    for name in ("imgsvc.db", "jobs/other/in/0", "slots-0/secret"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
    return tmp_path


async def test_files_elsewhere_cannot_be_read(open_pool: Pools, data: Path) -> None:
    pool = await open_prison(open_pool)
    places = [
        data / "imgsvc.db",
        data / "jobs" / "other" / "in" / "0",
        data / "slots-0" / "1" / "x",
        "/etc/passwd",
        "/etc/hostname",
        sys.executable,
        f"/proc/{os.getpid()}/environ",
        f"/proc/{os.getpid()}/mem",
        "/proc/self/environ",
    ]
    (data / "slots-0" / "1").mkdir()
    (data / "slots-0" / "1" / "x").write_text("secret")
    await assert_refused(pool, *[("read", str(path)) for path in places], by={"EACCES"})
    await assert_refused(pool, *[("read in a thread", str(path)) for path in places], by={"EACCES"})
    folders = [data, data / "jobs", data / "slots-0", "/", "/home", "/tmp", "/proc", "/etc"]  # noqa: S108
    await assert_refused(pool, *[("list", str(path)) for path in folders], by={"EACCES"})


async def test_files_elsewhere_cannot_be_changed(open_pool: Pools, data: Path) -> None:
    pool = await open_prison(open_pool)
    there, missing = str(data / "imgsvc.db"), str(data / "new")
    wishes: list[Wish] = [
        *[(what, there) for what in ("write", "append", "remove", "truncate")],
        *[(what, there) for what in ("change the mode", "change the owner", "change the time")],
        ("change attributes", there),
        *[(what, str(data / "slots-0" / "secret")) for what in ("write", "append", "move there")],
        *[(what, missing) for what in ("write", "make a folder", "move there", "link there")],
        ("link here", there),
        ("write", "/dev/shm/x"),  # noqa: S108
        ("write", "/tmp/imgsvc-escape"),  # noqa: S108
        ("write", str(Path(escapes.__file__).with_name("new.py"))),
    ]
    await assert_refused(pool, *wishes, by={"EACCES", "EPERM", "EXDEV"})
    assert (data / "imgsvc.db").read_text() == "secret"
    assert not (data / "new").exists()


async def test_an_input_can_be_read_and_removed_but_not_changed(open_pool: Pools) -> None:
    pool = await open_prison(open_pool)
    deeds = ("write", "empty", "reopen", "map", "move", "swap")
    wishes: list[Wish] = [(f"{deed} the input", None) for deed in deeds]
    await assert_refused(pool, *wishes, by={"EACCES", "EXDEV"})
    (source,) = await asyncio.to_thread(lambda: list(pool._inputs.iterdir()))
    assert source.read_text() == json.dumps([list(wish) for wish in wishes])


async def test_a_slot_holds_plain_files_only(open_pool: Pools, data: Path) -> None:
    """What else stood there, the server would follow, wait for, or go down into."""
    pool = await open_prison(open_pool)
    wishes: list[Wish] = [
        ("point there", str(data / "imgsvc.db")),
        ("make a pipe here", None),
        ("make a device", None),
        ("make a folder here", None),
    ]
    await assert_refused(pool, *wishes, by={"EACCES", "EPERM"})


async def test_what_rendering_needs_goes_on(open_pool: Pools) -> None:
    pool = await open_prison(open_pool)
    results = await try_out(
        pool,
        [
            ("write temporary", None),
            ("import", "sndhdr" if sys.version_info < (3, 13) else "wave"),
            ("import", "imgsvc.imaging.readers.heic"),
            ("import", "imgsvc.imaging.readers.jxl"),
            ("tell time", "Asia/Tokyo"),
        ],
    )
    assert results == ["done", "done", "done", "done", "JST"]


async def test_a_worker_holds_no_socket_and_no_file_of_the_server(
    open_pool: Pools, data: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)), (data / "imgsvc.db").open("rb") as database:
        pool = await open_prison(open_pool)
        (descriptors,) = await try_out(pool, [("list descriptors", None)])
        facts = os.fstat(database.fileno())
    assert [one for one in descriptors if stat.S_ISSOCK(one[1])] == []
    assert [facts.st_dev, facts.st_ino] not in [one[2:] for one in descriptors]
    kinds = {number: kind for number, kind, *_ in descriptors}
    assert stat.S_ISCHR(kinds[0])
    assert Path(os.devnull).stat().st_ino == next(one[3] for one in descriptors if one[0] == 0)
    assert len(descriptors) <= 16


async def test_memory_that_the_server_reads_cannot_be_taken_away(open_pool: Pools) -> None:
    """It would die of it, by a SIGBUS."""
    pool = await open_prison(open_pool)
    sizes = (0, 1, 1 << 20)
    await assert_refused(pool, *[("cut shared memory", size) for size in sizes], by={"EPERM"})


async def test_the_limit_on_memory_can_be_lifted_to_what_all_may_use_and_no_further(
    open_pool: Pools,
) -> None:
    pool = await open_prison(open_pool, size=2)
    (most_bytes,) = await try_out(pool, [("tell the limit on memory", None)])
    assert 0 < most_bytes < 4 * 1024**3
    unlimited = resource.RLIM_INFINITY
    wishes: list[Wish] = [
        ("raise the limit on memory", [unlimited, unlimited]),
        ("raise the limit on memory", [unlimited, most_bytes]),
        ("raise the limit on memory", [most_bytes, most_bytes + 4096]),
    ]
    await assert_refused(pool, *wishes, by={"EPERM"})


async def test_nothing_is_held_in_memory_beside_what_is_limited(open_pool: Pools) -> None:
    pool = await open_prison(open_pool)
    await assert_refused(pool, ("hold in memory", "name"), by={"EPERM"})


async def test_where_memory_runs_out_workers_die_before_the_server(open_pool: Pools) -> None:
    pool = await open_prison(open_pool)
    await try_out(pool, [])
    (worker,) = pool.pool.workers()
    score = await asyncio.to_thread(Path(f"/proc/{worker.pid}/oom_score_adj").read_text)
    assert int(score) >= limits.OOM_SCORE


async def test_a_worker_does_not_know_the_secrets_of_its_server(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IMGSVC_API_KEY", "IMGSVC_WEBHOOKS__SECRETS", "AWS_SECRET_ACCESS_KEY", "PGPASS"):
        monkeypatch.setenv(name, "hush-hush")
    pool = await open_prison(open_pool)
    (names,) = await try_out(pool, [("list variables", None)])
    assert "hush-hush" not in os.environ.get("PATH", "")
    assert {"MALLOC_ARENA_MAX", "VIPS_CONCURRENCY", "TMPDIR"} <= set(names)
    assert not {name for name in names if "KEY" in name or "SECRET" in name or "PGP" in name}
    (worker,) = pool.pool.workers()
    environment = Path(f"/proc/{worker.pid}/environ")
    if os.geteuid() == 0:  # nobody else may look into a worker
        assert b"hush-hush" not in environment.read_bytes()
    else:
        with pytest.raises(PermissionError):
            environment.read_bytes()


@pytest.mark.parametrize("place", ["report", "file", "envelope"])
async def test_what_a_hijacked_worker_sends_runs_nothing_in_the_server(
    open_pool: Pools, tmp_path: Path, place: str
) -> None:
    pool = await open_prison(open_pool)
    article = "a" if place == "file" else "the"
    made = tmp_path / "made"
    (key,) = await pool.submit(json.dumps([[f"lie in {article} {place}", str(made)]]))
    await pool.ended([key])
    assert not made.exists()
    assert pool.causes() == {key: LossCause.CRASHED}
    assert await try_out(pool, [("write temporary", None)]) == ["done"]


@pytest.mark.skipif(
    landlock.covers_all_threads(landlock.get_version()), reason="here threads follow"
)
async def test_threads_that_ran_before_are_told_of(
    open_pool: Pools, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = await open_prison(open_pool, sandbox="auto", warm_up=escapes.start_a_thread)
    assert await try_out(pool, [("read", "/etc/passwd")]) == ["EACCES"]
    assert "threads that ran before" in capsys.readouterr().out


async def test_where_confinement_is_required_no_worker_starts_without_it(
    open_pool: Pools, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = await open_prison(open_pool, warm_up=escapes.lose_landlock)
    with pytest.raises(PoolBroken):
        await pool.end()
    assert "has no Landlock" in capsys.readouterr().out


async def test_confinement_can_be_switched_off(
    open_pool: Pools, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = await open_prison(open_pool, sandbox="off")
    assert await try_out(pool, [("read", "/etc/passwd"), ("open a socket", [2, 2])]) == [
        "done",
        "done",
    ]
    assert "workers.sandbox is off" in capsys.readouterr().out


async def test_confinement_is_told_once_for_all_workers(
    open_pool: Pools, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = await open_prison(open_pool, size=3)
    keys: list[TaskKey] = []
    for _ in range(6):
        keys += await pool.submit("[]")
    await pool.ended(keys)
    assert capsys.readouterr().out.count("workers_confined") == 1


def test_this_machine_is_known() -> None:
    assert find_machine() is not None
