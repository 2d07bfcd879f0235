"""What the filter of system calls refuses to a worker, with Landlock and without."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import termios

import pytest

from imgsvc.workers import sandbox, seccomp
from imgsvc.workers.syscalls import find_machine
from tests.workers import escapes
from tests.workers.conftest import Follower, Pools
from tests.workers.prison import Wish, assert_refused, open_prison, try_out


def can_filter() -> bool:
    machine = find_machine()
    return machine is not None and seccomp.is_available(machine)


pytestmark = pytest.mark.skipif(not can_filter(), reason="this machine has no filters")


def _number(name: str) -> int:
    machine = find_machine()
    assert machine is not None
    return machine.numbers[name]


COMMANDS = {
    "F_SETOWN": (8, os.getpid()),
    "F_SETSIG": (10, int(signal.SIGURG)),
    "F_SETOWN_EX": (15, os.getpid()),
    "F_SETLEASE": (1024, fcntl.F_UNLCK),
    "F_NOTIFY": (1026, 0),
}
"""None does harm where it is let through: a signal that nobody minds, and an end of nothing."""


@pytest.fixture(params=["landlock", "no landlock"])
async def prison(request: pytest.FixtureRequest, open_pool: Pools) -> Follower:
    if request.param == "no landlock":
        return await open_prison(open_pool, sandbox="auto", warm_up=escapes.lose_landlock)
    if sandbox.find_gaps():
        pytest.skip("this machine has no Landlock, or an old one")
    return await open_prison(open_pool)


async def test_there_are_no_sockets(prison: Follower) -> None:
    kinds = [
        [socket.AF_INET, socket.SOCK_STREAM],
        [socket.AF_INET, socket.SOCK_DGRAM],
        [socket.AF_INET6, socket.SOCK_STREAM],
        [socket.AF_INET6, socket.SOCK_DGRAM],
        [socket.AF_UNIX, socket.SOCK_STREAM],
        [socket.AF_NETLINK, socket.SOCK_RAW],
    ]
    wishes: list[Wish] = [("open a socket", [int(one) for one in kind]) for kind in kinds]
    wishes += [("open a pair of sockets", None), ("connect", 80)]
    await assert_refused(prison, *wishes, by={"EPERM"})


async def test_every_call_that_is_to_be_refused_is_refused(prison: Follower) -> None:
    machine = find_machine()
    assert machine is not None
    names = [name for name in seccomp._REFUSED.split() if name in machine.numbers]
    wishes: list[Wish] = [("call", [machine.numbers[name], *[-1] * 5]) for name in names]
    assert len(wishes) > 80
    await assert_refused(prison, *wishes, by={"EPERM"})


async def test_a_slot_holds_no_folders(prison: Follower) -> None:
    """Nothing that removes files would remove those."""
    await assert_refused(prison, ("make a folder here", None), by={"EPERM"})


async def test_nothing_is_typed_into_the_terminal_of_the_server(prison: Follower) -> None:
    wishes: list[Wish] = [("control", termios.TIOCSTI), ("control", 0x541C)]
    await assert_refused(prison, *wishes, by={"EPERM"})
    assert await try_out(prison, [("control", termios.TIOCGWINSZ)]) == ["ENOTTY"]


async def test_no_timer_signals_others(prison: Follower) -> None:
    await assert_refused(prison, ("signal by a timer", os.getpid()), by={"EINVAL"})


async def test_there_are_no_other_programs_and_processes(prison: Follower) -> None:
    wishes: list[Wish] = [
        ("execute", "/bin/true"),
        ("execute", sys.executable),
        ("spawn", "/bin/true"),
        ("fork", None),
        ("run what is open", _number("execveat")),
    ]
    await assert_refused(prison, *wishes, by={"EPERM", "EACCES"})


async def test_other_processes_are_left_alone(prison: Follower) -> None:
    pid = os.getpid()
    deeds = (
        "trace",
        "read memory",
        "write memory",
        "signal",
        "signal by a pipe",
        "open a process",
        "limit",
        "slow down",
    )
    wishes: list[Wish] = [(deed, pid) for deed in deeds]
    wishes += [("signal", 0), ("signal", -1), ("outlive", None), ("be another user", None)]
    await assert_refused(prison, *wishes, by={"EPERM"})


@pytest.mark.parametrize("name", sorted(COMMANDS))
async def test_no_descriptor_signals_others_or_makes_them_wait(prison: Follower, name: str) -> None:
    number, argument = COMMANDS[name]
    await assert_refused(prison, ("command", [number, argument]), by={"EPERM"})


async def test_other_commands_of_descriptors_go_on(prison: Follower) -> None:
    results = await try_out(prison, [("command", [fcntl.F_GETFL, 0]), ("command", [1031, 8192])])
    assert results == ["done", "done"]


async def test_calls_of_the_kernel_that_came_later_or_by_another_door_do_not_exist(
    prison: Follower,
) -> None:
    x32_socket = (1 << 30) | 41
    wishes: list[Wish] = [
        ("call", [425, 8, 0]),  # io_uring_setup
        ("call", [435, 0, 0]),  # clone3
        ("call", [452, 0, 0, 0, 0]),  # fchmodat2
        ("call", [x32_socket, 2, 1, 0]),
    ]
    await assert_refused(prison, *wishes, by={"ENOSYS"})


async def test_limits_on_files_fail_cleanly_and_stay(prison: Follower) -> None:
    results = await try_out(
        prison, [("write too much", None), ("open many", None), ("raise a limit", None)]
    )
    assert results == ["EFBIG", "EMFILE", "EPERM"]


async def test_without_landlock_a_worker_starts_and_the_log_says_what_is_missing(
    open_pool: Pools, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = await open_prison(open_pool, sandbox="auto", warm_up=escapes.lose_landlock)
    results = await try_out(
        pool, [("read", "/etc/passwd"), ("open a socket", [2, 2]), ("fork", None)]
    )
    assert results == ["done", "EPERM", "EPERM"]
    logged = capsys.readouterr().out
    assert "workers_not_confined" in logged
    assert "has no Landlock" in logged
