"""What a program and its children used: processor seconds and resident memory, from /proc."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

MIB = 1024 * 1024


def cpu_s(pid: int) -> float:
    """Processor seconds of the process and all its children, living and dead."""
    seconds = 0.0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def resident_mib(pid: int) -> float:
    """Resident memory of the process and its children; what they share counts once."""
    found = 0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += process.memory_full_info().pss
    return found / MIB


def peak_mib(pid: int) -> float:
    """The most resident memory of the process itself since `forget_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def forget_peak(pid: int) -> None:
    """Start counting the peak anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _tree(pid: int) -> list[psutil.Process]:
    try:
        program = psutil.Process(pid)
        return [program, *program.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
