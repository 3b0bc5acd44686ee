"""The cell's filter, instruction by instruction, also for the machine that we are not."""

from __future__ import annotations

import errno
import os
import platform
import re
import struct
from pathlib import Path

import pytest

from smtpd import confinement
from smtpd.confinement import MACHINES, filter_for

ALLOWED = 0x7FFF0000
KILLED = 0x80000000
DENIED = 0x00050000 | errno.EPERM
UNKNOWN = 0x00050000 | errno.ENOSYS
HEADERS = {"x86_64": "x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "asm-generic/unistd.h"}


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the kernel would do with this call: the few instructions of BPF that we use."""
    audit = MACHINES[machine].audit_number if arch is None else arch
    call = struct.pack("<IIQ6Q", number, audit, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    program = list(struct.iter_unpack("=HBBI", filter_for(MACHINES[machine])))
    at = word = 0
    while True:
        code, if_so, if_not, value = program[at]
        at += 1
        match code:
            case 0x20:
                (word,) = struct.unpack_from("<I", call, value)
            case 0x15:
                at += if_so if word == value else if_not
            case 0x35:
                at += if_so if word >= value else if_not
            case 0x45:
                at += if_so if word & value else if_not
            case 0x06:
                return int(value)
            case _:
                pytest.fail(f"instruction {code:#x}")


@pytest.mark.parametrize(
    ("machine", "numbers"),
    [
        # read, write, close, mmap, brk, futex, exit_group, getrandom, lseek, fstat
        ("x86_64", (0, 1, 3, 9, 12, 202, 231, 318, 8, 5)),
        ("aarch64", (63, 64, 57, 222, 214, 98, 94, 278, 62, 80)),
    ],
)
def test_what_every_job_needs_is_allowed(machine: str, numbers: tuple[int, ...]) -> None:
    assert {verdict(machine, number) for number in numbers} == {ALLOWED}


@pytest.mark.parametrize(
    ("machine", "numbers"),
    [
        # socket, connect, sendto, execve, kill, ptrace, unlinkat, io_uring_setup
        ("x86_64", (41, 42, 44, 59, 62, 101, 263, 425)),
        ("aarch64", (198, 203, 206, 221, 129, 117, 35, 425)),
    ],
)
def test_what_leads_outside_is_denied(machine: str, numbers: tuple[int, ...]) -> None:
    assert {verdict(machine, number) for number in numbers} == {DENIED}


@pytest.mark.parametrize(
    ("machine", "openat", "clone"), [("x86_64", 257, 56), ("aarch64", 56, 220)]
)
def test_the_arguments_decide_where_a_call_does_both(machine: str, openat: int, clone: int) -> None:
    for harmless in (os.O_RDONLY, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY):
        assert verdict(machine, openat, 0, 0, harmless) == ALLOWED
    for writes in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_TMPFILE | os.O_RDWR):
        assert verdict(machine, openat, 0, 0, writes | os.O_CLOEXEC) == DENIED
    assert verdict(machine, clone, 0x3D0F00) == ALLOWED  # as the C library makes a thread
    assert verdict(machine, clone, 0x1200011) == DENIED  # and as it forks


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_whose_flags_no_filter_sees_are_unknown(machine: str) -> None:
    assert verdict(machine, 435) == verdict(machine, 437) == UNKNOWN


def test_calls_of_another_processor_or_abi_do_not_pass() -> None:
    i386 = 0x40000003
    assert verdict("x86_64", 1, arch=i386) == KILLED
    assert verdict("aarch64", 64, arch=MACHINES["x86_64"].audit_number) == KILLED
    x32_write = 0x40000001
    assert verdict("x86_64", x32_write) == DENIED


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_kernel(machine: str) -> None:
    header = Path("/usr/include", HEADERS[machine])
    if not header.exists() or platform.machine() != "x86_64":
        pytest.skip("the kernel's headers are not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    column = MACHINES[machine].column
    words = confinement.FORBIDDEN.split()
    ours = {words[at]: words[at + column] for at in range(0, len(words), 3)}
    known = {name: number for name, number in found if name in ours}
    assert len(known) > 60
    assert known == {name: ours[name] for name in known}
    assert all(re.fullmatch(r"\d+|-", number) for number in ours.values())
