"""What a process of the cell may no longer do once it is ready: no network, no other program.

A seccomp filter (seccomp(2)) that stays for the life of the process, on all its threads.
Reading files, and reading and writing what is open already, stays allowed: that is how
libraries load late and jobs come and go. A Landlock domain (landlock(7)) and the loss of
root's capabilities keep it from looking into other processes. It stops what a library
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
from typing import NamedTuple

_PR_SET_NO_NEW_PRIVS = 38  # prctl(2); without it only root may set a filter
_SET_MODE_FILTER, _ALL_THREADS = 1, 1  # seccomp(2): the operation and its flag
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446  # the same on every machine
_LANDLOCK_WRITE_FILE = 2
_CAPABILITIES_VERSION = 0x20080522  # capset(2): the third, of two times 32 capabilities

# BPF, linux/bpf_common.h: load a word, jump if equal, if greater or equal, if a bit is set; return.
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH = 0, 4  # offsets in struct seccomp_data
_ARGUMENTS = (16, 24, 32)  # of their low words, as both machines below are little-endian
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_X32 = 0x40000000  # system calls of another ABI on the same processor

_CLONE_THREAD = 0x00010000
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_OPEN_FILES = 64


class Machine(NamedTuple):
    """A processor whose system calls are known here."""

    audit_number: int  # linux/audit.h
    column: int  # of its numbers in the table of calls


MACHINES = {"x86_64": Machine(0xC000003E, 1), "aarch64": Machine(0xC00000B7, 2)}

# Each call with its number on x86_64 and on aarch64; "-" where there is none. Beside what
# the first lines say: no signals to others, no looking into them, no change to a file, no
# typing into a terminal, no memory that the memory limit does not count, and nothing only
# an administrator needs.
FORBIDDEN = """
socket 41 198  socketpair 53 199  connect 42 203  bind 49 200  listen 50 201  accept 43 202
accept4 288 242  sendto 44 206  sendmsg 46 211  sendmmsg 307 269  recvfrom 45 207
recvmsg 47 212  recvmmsg 299 243  io_uring_setup 425 425  io_uring_enter 426 426
io_uring_register 427 427

fork 57 -  vfork 58 -  execve 59 221  execveat 322 281

kill 62 129  tkill 200 130  tgkill 234 131  rt_sigqueueinfo 129 138  rt_tgsigqueueinfo 297 240
ptrace 101 117  process_vm_readv 310 270  process_vm_writev 311 271  kcmp 312 272
pidfd_send_signal 424 424  pidfd_open 434 434  pidfd_getfd 438 438  process_madvise 440 440

creat 85 -  truncate 76 45  rename 82 -  renameat 264 38  renameat2 316 276  link 86 -
linkat 265 37  symlink 88 -  symlinkat 266 36  unlink 87 -  unlinkat 263 35  mkdir 83 -
mkdirat 258 34  rmdir 84 -  mknod 133 -  mknodat 259 33  chmod 90 -  fchmod 91 52
fchmodat 268 53  fchmodat2 452 452  chown 92 -  fchown 93 55  lchown 94 -  fchownat 260 54
utime 132 -  utimes 235 -  futimesat 261 -  utimensat 280 88  setxattr 188 5  lsetxattr 189 6
fsetxattr 190 7  removexattr 197 14  lremovexattr 198 15  fremovexattr 199 16
setxattrat 463 463  removexattrat 466 466  open_by_handle_at 304 265

ioctl 16 29


memfd_create 319 279  memfd_secret 447 447  shmget 29 194  msgget 68 186  semget 64 190
mq_open 240 180

pivot_root 155 41  chroot 161 51  mount 165 40  umount2 166 39  open_tree 428 428
move_mount 429 429  fsopen 430 430  fsconfig 431 431  fsmount 432 432  fspick 433 433
mount_setattr 442 442  open_tree_attr 467 467  unshare 272 97  setns 308 268
add_key 248 217  request_key 249 218  keyctl 250 219  perf_event_open 298 241  bpf 321 280
userfaultfd 323 282  seccomp 317 277  init_module 175 105  finit_module 313 273
delete_module 176 106  kexec_load 246 104  kexec_file_load 320 294  reboot 169 142
swapon 167 224  swapoff 168 225  settimeofday 164 170  clock_settime 227 112  adjtimex 159 171
clock_adjtime 305 266  sethostname 170 161  setdomainname 171 162  acct 163 89  quotactl 179 60
quotactl_fd 443 443  iopl 172 -  ioperm 173 -  modify_ldt 154 -  fanotify_init 300 262
"""
_SECCOMP = "seccomp 317 277"


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def confine() -> str:
    """Give up network, other programs and files to write; "" or one sentence why not all of it."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # pipes and sockets are no files
    machine = MACHINES.get(platform.machine())
    if machine is None or struct.calcsize("P") != 8:
        return f"there is no system call filter for {platform.machine()} here"
    program = filter_for(machine)
    libc = ctypes.CDLL(None, use_errno=True)
    described = _Program(len(program) // 8, program)
    (number,) = _numbers(_SECCOMP, machine)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    apart = _set_apart(libc)
    if libc.syscall(number, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(described)):
        reason = os.strerror(ctypes.get_errno())
        return f"the kernel does not allow a system call filter ({reason})"
    return what_it_left(libc) or apart


def _set_apart(libc: ctypes.CDLL) -> str:
    """Enter a Landlock domain, from which no process outside it can be looked into.

    Without one, /proc shows to every process of the same user the environment that this
    server was started with, its secrets among it. Threads from before stay outside.
    """
    # Root's capabilities would overrule that, and the limits.
    lost = libc.capset(struct.pack("=Ii", _CAPABILITIES_VERSION, 0), bytes(24))
    rules = struct.pack("=Q", _LANDLOCK_WRITE_FILE)  # a domain has to forbid something
    domain = libc.syscall(_LANDLOCK_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
    if lost or domain < 0 or libc.syscall(_LANDLOCK_RESTRICT_SELF, domain, 0):
        reason = os.strerror(ctypes.get_errno())
        return f"the kernel does not set a process apart from others with Landlock ({reason})"
    os.close(domain)
    return ""


def what_it_left(libc: ctypes.CDLL) -> str:
    """Try it: a kernel that is an emulation may say yes and do nothing."""
    made = libc.socket(1, 1, 0)  # AF_UNIX, SOCK_STREAM
    if made < 0:
        return ""
    os.close(made)
    return "the kernel took a system call filter and does not obey it"


def filter_for(machine: Machine) -> bytes:
    """The filter: a foreign machine's calls kill, what is forbidden fails with EPERM."""
    denied, unknown = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    return b"".join(
        [
            *(_one(_LOAD, _ARCH), _one(_IF_EQUAL, machine.audit_number, 1), _one(_RETURN, _KILL)),
            *(_one(_LOAD, _NUMBER), _one(_IF_AT_LEAST, _X32, 0, 1), _one(_RETURN, denied)),
            *_where("open 2 -", machine, *_judge(1, _IF_BIT, _TO_WRITE, denied, _ALLOW)),
            *_where("openat 257 56", machine, *_judge(2, _IF_BIT, _TO_WRITE, denied, _ALLOW)),
            *_where("clone 56 220", machine, *_judge(0, _IF_BIT, _CLONE_THREAD, _ALLOW, denied)),
            *_where("prlimit64 302 261", machine, *_judge(0, _IF_EQUAL, 0, _ALLOW, denied)),
            # Their flags lie in memory, where no filter sees them; told that there is no such
            # call, the C library takes the one whose flags it does see.
            *_where("clone3 435 435 openat2 437 437", machine, _one(_RETURN, unknown)),
            *_where(FORBIDDEN, machine, _one(_RETURN, denied)),
            _one(_RETURN, _ALLOW),
        ]
    )


def _where(calls: str, machine: Machine, *then: bytes) -> Iterator[bytes]:
    for number in _numbers(calls, machine):
        yield _one(_IF_EQUAL, number, 0, len(then))
        yield from then


def _judge(argument: int, test: int, value: int, if_so: int, if_not: int) -> tuple[bytes, ...]:
    """The verdict on a call by one of its arguments, of which the low word is enough."""
    load = _one(_LOAD, _ARGUMENTS[argument])
    return load, _one(test, value, 0, 1), _one(_RETURN, if_so), _one(_RETURN, if_not)


def _numbers(calls: str, machine: Machine) -> list[int]:
    words = calls.split()
    return [int(word) for word in words[machine.column :: 3] if word != "-"]


def _one(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    """struct sock_filter."""
    return struct.pack("=HBBI", code, if_so, if_not, value)
