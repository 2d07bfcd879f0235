"""Numbers of system calls (Linux 5.17: arch/x86/entry/syscalls, include/uapi/asm-generic)."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """audit_arch: what the kernel calls it in a filter. numbers: by name; a call that it does
    not have is missing.
    """

    audit_arch: int
    seccomp: int
    numbers: dict[str, int]


LAST = 450
"""From 424 on all machines count alike. What is above came after Linux 5.17, and every C
library does without it.
"""

_TABLE = """
socket 41 198, socketpair 53 199, connect 42 203, bind 49 200, listen 50 201, accept 43 202,
accept4 288 242, sendto 44 206, sendmsg 46 211, sendmmsg 307 269,
execve 59 221, execveat 322 281, uselib 134 -, fork 57 -, vfork 58 -, clone 56 220,
clone3 435 435, unshare 272 97, setns 308 268,
ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440,
process_mrelease 448 448, kcmp 312 272, pidfd_open 434 434, pidfd_getfd 438 438,
pidfd_send_signal 424 424, kill 62 129, tkill 200 130, tgkill 234 131, rt_sigqueueinfo 129 138,
rt_tgsigqueueinfo 297 240,
prctl 157 167, fcntl 72 25, ioctl 16 29, prlimit64 302 261, setpriority 141 140, ioprio_set 251 30,
sched_setparam 142 118, sched_setscheduler 144 119, sched_setaffinity 203 122,
sched_setattr 314 274, migrate_pages 256 238, move_pages 279 239, capset 126 91,
chmod 90 -, fchmod 91 52, fchmodat 268 53, chown 92 -, fchown 93 55, lchown 94 -,
fchownat 260 54, setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, removexattr 197 14,
lremovexattr 198 15, fremovexattr 199 16, utime 132 -, utimes 235 -, utimensat 280 88,
futimesat 261 -, truncate 76 45, link 86 -, linkat 265 37, symlink 88 -, symlinkat 266 36,
mkdir 83 -, mkdirat 258 34, mknod 133 -, mknodat 259 33,
name_to_handle_at 303 264, open_by_handle_at 304 265,
inotify_init 253 -, inotify_init1 294 26, fanotify_init 300 262, fanotify_mark 301 263,
shmget 29 194, shmat 30 196, shmctl 31 195, semget 64 190, semop 65 193, semctl 66 191,
semtimedop 220 192, msgget 68 186, msgsnd 69 189, msgrcv 70 188, msgctl 71 187,
mq_open 240 180, mq_unlink 241 181,
mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, open_tree 428 428,
move_mount 429 429, fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick 433 433,
mount_setattr 442 442, swapon 167 224, swapoff 168 225, quotactl 179 60, quotactl_fd 443 443,
acct 163 89,
init_module 175 105, finit_module 313 273, delete_module 176 106, kexec_load 246 104,
kexec_file_load 320 294, reboot 169 142, sethostname 170 161, setdomainname 171 162,
settimeofday 164 170, clock_settime 227 112, adjtimex 159 171, clock_adjtime 305 266,
iopl 172 -, ioperm 173 -, modify_ldt 154 -, personality 135 92, syslog 103 116, vhangup 153 58,
bpf 321 280, perf_event_open 298 241, userfaultfd 323 282,
memfd_create 319 279, memfd_secret 447 447,
io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427,
add_key 248 217, request_key 249 218, keyctl 250 219, lookup_dcookie 212 18
"""
"""Name, number on x86-64, number on 64-bit ARM."""


def _read_column(column: int) -> dict[str, int]:
    rows = (row.split() for row in _TABLE.split(","))
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def find_machine() -> Machine | None:
    """The one that this is; None when its numbers are not known here."""
    if sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return None
    match platform.machine():
        case "x86_64":
            return Machine(0xC000003E, 317, _read_column(1))
        case "aarch64":
            return Machine(0xC00000B7, 277, _read_column(2))
    return None
