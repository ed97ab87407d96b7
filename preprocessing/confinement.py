"""What a process that touches hostile bytes gives up, for good, before it touches them.

Limits hold on memory, processor time, open files and output (POSIX); on Linux a seccomp filter also refuses the system
calls by which a hijacked decoder could reach the network, start programs, or write, rename and delete files, and the
process does not outlive the one that started it.
"""

import ctypes
import os
import platform
import resource
import signal
import sys
from typing import ClassVar

OPEN_FILES = 32


_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH")
_CALM = {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def surroundings() -> dict[str, str]:
    """The environment for such a process; keys and passwords are not among what it is told."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _CALM


def confine(*, memory_bytes: int, cpu_s: int) -> None:
    """From here on this process cannot have more than this, nor can it get any of it back.

    Args:
        memory_bytes: of address space, shared memory included.
        cpu_s: of all its threads together; past it the kernel kills the process.

    Raises:
        OSError: the kernel refuses the filter.
    """
    for limit, most in {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }.items():
        resource.setrlimit(limit, (most, most))
    if sys.platform == "linux" and platform.machine() in _MACHINES:
        _filter_system_calls(*_MACHINES[platform.machine()])


_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""By name, what the kernel calls the instruction set (AUDIT_ARCH_*), and the column of the tables below."""

_REFUSED = {
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "bind": (49, 200),
    "listen": (50, 201),
    "socketpair": (53, 199),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "pidfd_send_signal": (424, 424),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "mknodat": (259, 33),
    "rmdir": (84, None),
    "creat": (85, None),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "fchownat": (260, 54),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "open_by_handle_at": (304, 265),
    "io_uring_setup": (425, 425),
}
"""Numbers on x86_64 and aarch64, from the kernel's own tables."""

_UNKNOWN = {"clone3": (435, 435), "openat2": (437, 437)}
"""Said not to exist, so that the C library falls back to older calls whose arguments a filter can read."""

_OPENING = {"open": ((2, None), 1), "openat": ((257, 56), 2)}
"""Refused for anything but reading; with the place of the flags among the arguments."""
_WRITING = 0o3 | 0o100 | 0o1000
"""O_WRONLY and O_RDWR, O_CREAT, O_TRUNC."""

_CLONE, _CLONE_THREAD = (56, 220), 0x00010000
"""Threads are allowed, further processes are not."""

_X32 = 0x40000000
"""From this number on x86_64 has a second set of the same calls."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
"""Offsets in the kernel's `seccomp_data`."""
_PARENT_DIED, _NO_NEW_PRIVILEGES, _SET_SECCOMP, _MODE_FILTER = 1, 38, 22, 2


class _Step(ctypes.Structure):
    """One instruction of classic BPF."""

    _fields_: ClassVar = [
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("operand", ctypes.c_uint),
    ]


class _Program(ctypes.Structure):
    _fields_: ClassVar = [("length", ctypes.c_ushort), ("steps", ctypes.POINTER(_Step))]


def _filter_system_calls(arch: int, column: int) -> None:
    """For this thread and those it starts; the caller has no others yet."""
    steps = [
        _Step(_LOAD, 0, 0, _ARCH),
        _Step(_EQUAL, 1, 0, arch),
        _Step(_ANSWER, 0, 0, _KILL),
        _Step(_LOAD, 0, 0, _NUMBER),
        _Step(_AT_LEAST, 0, 1, _X32),
        _Step(_ANSWER, 0, 0, _EPERM),
    ]
    for calls, answer in ((_REFUSED, _EPERM), (_UNKNOWN, _ENOSYS)):
        for numbers in calls.values():
            if (number := numbers[column]) is not None:
                steps += [_Step(_EQUAL, 0, 1, number), _Step(_ANSWER, 0, 0, answer)]
    for numbers, place in _OPENING.values():
        if (number := numbers[column]) is not None:
            steps += _by_argument(number, place, _WRITING, if_any=_EPERM, if_none=_ALLOW)
    steps += _by_argument(_CLONE[column], 0, _CLONE_THREAD, if_any=_ALLOW, if_none=_EPERM)
    steps += [_Step(_ANSWER, 0, 0, _ALLOW)]
    program = _Program(len(steps), (_Step * len(steps))(*steps))
    kernel = ctypes.CDLL(None, use_errno=True)
    for call in (
        (_PARENT_DIED, signal.SIGKILL, 0, 0, 0),
        (_NO_NEW_PRIVILEGES, 1, 0, 0, 0),
        (_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if kernel.prctl(*call):
            raise OSError(ctypes.get_errno(), "the kernel refuses to filter system calls")


def _by_argument(number: int, place: int, bits: int, *, if_any: int, if_none: int) -> list[_Step]:
    """The answer to one call by the bits set in one of its arguments."""
    return [
        _Step(_EQUAL, 0, 4, number),
        _Step(_LOAD, 0, 0, _ARGUMENTS + 8 * place),
        _Step(_ANY_BIT, 0, 1, bits),
        _Step(_ANSWER, 0, 0, if_any),
        _Step(_ANSWER, 0, 0, if_none),
    ]
