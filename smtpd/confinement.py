"""What a process of the cell may no longer do once it is ready: no network, no other program.

A seccomp filter (seccomp(2)) that stays for the life of the process. Reading and writing
what is open already stays allowed: that is how jobs come and go. It stops what a library
does by mistake or a stranger's bytes make it do; it is no proof against the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
from collections.abc import Iterator

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_MODE_FILTER = 2

# BPF, linux/bpf_common.h: load a word, jump if equal, if greater or equal, if a bit is set; return.
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; its low word
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000  # system calls of another ABI on the same processor

_OPEN_FILES = 64

# What each machine calls these: its audit number, fork-like clone, and the forbidden calls.
_ARCHES = {
    "x86_64": (0xC000003E, 56, (
        41, 42, 43, 44, 45, 46, 47, 49, 50, 53, 288, 299, 307,  # sockets
        57, 58, 59, 322,  # fork, vfork, execve, execveat
        62, 129, 200, 234, 297,  # kill, rt_sigqueueinfo, tkill, tgkill, rt_tgsigqueueinfo
        101, 310, 311,  # ptrace, process_vm_readv, process_vm_writev
        155, 161, 165, 166, 272, 308,  # pivot_root, chroot, mount, umount2, unshare, setns
        248, 249, 250, 298, 321, 323,  # keys, perf_event_open, bpf, userfaultfd
    )),
    "aarch64": (0xC00000B7, 220, (
        198, 199, 200, 201, 202, 203, 206, 207, 211, 212, 242, 243, 269,
        221, 281,
        129, 138, 130, 131, 240,
        117, 270, 271,
        41, 51, 40, 39, 97, 268,
        217, 218, 219, 241, 280, 282,
    )),
}  # fmt: skip
# The same number everywhere: pidfd_send_signal, io_uring, pidfd_open, pidfd_getfd.
_FORBIDDEN_EVERYWHERE = (424, 425, 426, 427, 434, 438)
_CLONE3 = 435  # its flags lie in memory, where no filter sees them; glibc falls back to clone


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def confine() -> str:
    """Give up network, other programs and files to write; "" or one sentence why not all of it."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # pipes and sockets are no files
    arch = _ARCHES.get(platform.machine())
    if arch is None:
        return f"there is no system call filter for {platform.machine()} here"
    program = b"".join(_instructions(*arch))
    libc = ctypes.CDLL(None, use_errno=True)
    description = _Program(len(program) // 8, program)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(description)
    ):
        reason = os.strerror(ctypes.get_errno())
        return f"the kernel does not allow a system call filter ({reason})"
    return ""


def _instructions(arch: int, clone: int, forbidden: tuple[int, ...]) -> Iterator[bytes]:
    """The filter: foreign machines are killed, what is forbidden fails with EPERM."""
    yield _one(_LOAD, _ARCH)
    yield _one(_IF_EQUAL, arch, 1, 0)
    yield _one(_RETURN, _KILL)
    yield _one(_LOAD, _NUMBER)
    yield _one(_IF_AT_LEAST, _X32, 0, 1)
    yield _one(_RETURN, _ERRNO | errno.EPERM)
    for number in (*forbidden, *_FORBIDDEN_EVERYWHERE):
        yield _one(_IF_EQUAL, number, 0, 1)
        yield _one(_RETURN, _ERRNO | errno.EPERM)
    yield _one(_IF_EQUAL, _CLONE3, 0, 1)
    yield _one(_RETURN, _ERRNO | errno.ENOSYS)
    yield _one(_IF_EQUAL, clone, 0, 3)
    yield _one(_LOAD, _FIRST_ARGUMENT)
    yield _one(_IF_BIT, _CLONE_THREAD, 1, 0)
    yield _one(_RETURN, _ERRNO | errno.EPERM)
    yield _one(_RETURN, _ALLOW)


def _one(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    """struct sock_filter."""
    return struct.pack("=HBBI", code, if_so, if_not, value)
