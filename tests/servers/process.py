"""One program on loopback: started in its own process group, waited for by
connecting, ended by its process id.

The servers beside this file build on `Server`; nothing here needs pytest, so
that benchmarks and kill campaigns start the same ones.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

HOST = "127.0.0.1"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
PROBE_INTERVAL_S = 0.02
LOG_TAIL_LINES = 40

# Debian keeps daemons where an ordinary user's PATH does not look.
SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))

_given_ports: set[int] = set()


class ServerTrouble(Exception):
    """A server did not start, or did not do what it was asked; holds the end of its log."""


class NotInstalled(ServerTrouble):
    """This machine lacks a program, or the right to run it."""


def free_port() -> int:
    """A TCP port on loopback that nobody uses, given once in this process.

    It lies below the ports the kernel gives to outgoing connections: a server that is
    killed and started again must find its port free, and a client that keeps trying a
    closed port of that range may end up connected to itself.
    """
    below = _first_outgoing_port()
    while True:
        port = random.randrange(20000, below) if below > 21000 else 0  # noqa: S311 (not a secret)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            port = int(probe.getsockname()[1])
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def _first_outgoing_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 0


def find_program(name: str) -> str:
    """The program's full path. Raises NotInstalled."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise NotInstalled(f"{name} is not installed")
    return found


def running_as_root() -> bool:
    return os.geteuid() == 0


def as_user(user: str) -> list[str]:
    """The words before a command that make it run as this user, when we are root."""
    if not (user and running_as_root()):
        return []
    group = str(pwd.getpwnam(user).pw_gid)
    return [find_program("setpriv"), f"--reuid={user}", f"--regid={group}", "--init-groups"]


def run(command: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60) -> str:
    """Run a program to its end; its standard output. Raises ServerTrouble when it fails."""
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        timeout=timeout_s,
        check=False,
        env=_environment(),
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise ServerTrouble(f"{command[0]} ended with {done.returncode}:\n{said}")
    return done.stdout.decode(errors="replace")


def wait_until(probe: Callable[[], bool], *, what: str, timeout_s: float = START_TIMEOUT_S) -> None:
    """Try until the probe says yes. Raises ServerTrouble after the time is up."""
    deadline = time.monotonic() + timeout_s
    while not probe():
        if time.monotonic() > deadline:
            raise ServerTrouble(f"not within {timeout_s:g} s: {what}")
        time.sleep(PROBE_INTERVAL_S)


def greeting(port: int, say: bytes = b"", *, timeout_s: float = 1.0) -> bytes:
    """What a server on loopback says first, or to `say`; b"" while it does not."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as connection:
            if say:
                connection.sendall(say)
            return connection.recv(512)
    except OSError:
        return b""


class Server:
    """A program that runs until it is stopped. Use it with `with`, or start() and stop().

    A stopped server keeps its folder and its port, so start() brings it back as it was.
    The folder goes when the object does.
    """

    name = ""
    user = ""  # whom it runs as when we are root, "" for root
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.check_installed()
        self.folder = Path(tempfile.mkdtemp(prefix=f"answermx-{self.name}-"))
        # Servers run as users of their own and have to pass through.
        self.folder.chmod(0o755)
        self.log_file = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._forget = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    @classmethod
    def check_installed(cls) -> None:
        """Raises NotInstalled where this server cannot run."""
        find_program(cls.name)

    def prepare(self) -> None:
        """Write configuration and data, before the first start."""

    def command(self) -> list[str]:
        """The command line that stays in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Does it serve? Asked again and again while it starts."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerTrouble(f"{self.name} does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it and return once it answers. Raises ServerTrouble with its log."""
        if self.running:
            raise ServerTrouble(f"{self.name} runs already")
        if not self.log_file.exists():
            self.prepare()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*_launcher(self.user), *self.command()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_environment(),
            )
        try:
            wait_until(self._answers_while_running, what=f"{self.name} answers")
        except ServerTrouble as trouble:
            self.stop()
            raise ServerTrouble(f"{trouble}\n{self.log_tail()}") from None
        return self

    def stop(self) -> None:
        """Ask it to end, and end it when it does not. Harmless when it does not run."""
        if self.running:
            self.resume()  # a frozen one could not obey
            os.kill(self.pid, self.stop_signal)
        self._end()

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL to it and to all its children."""
        self._signal_all(signal.SIGKILL)
        self._end()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers (SIGSTOP)."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after pause()."""
        self._signal_all(signal.SIGCONT)

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The end of what it wrote, for a failing test's report."""
        if not self.log_file.exists():
            return ""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()
        self._forget()

    def _answers_while_running(self) -> bool:
        if not self.running:
            raise ServerTrouble(f"{self.name} ended while starting")
        return self.answers()

    def _signal_all(self, number: signal.Signals) -> None:
        """To the program first, so that it does not replace a child that is gone."""
        program = psutil.Process(self.pid)
        for process in [program, *program.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
        # What is left of its process group was asked to end, and did not.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment() -> Mapping[str, str]:
    """Ours, with English messages and without settings that steer the tools."""
    dropped = ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "MAIL_CONFIG")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "LC_ALL": "C.UTF-8", "PATH": SYSTEM_PATH}


def _launcher(user: str) -> list[str]:
    """As that user, and ended by Linux when a killed test run could not do it."""
    words = as_user(user)
    # Linux takes the thread for the parent, and a pool's thread ends long before the run.
    in_main_thread = threading.current_thread() is threading.main_thread()
    if sys.platform.startswith("linux") and in_main_thread:
        words = [*(words or [find_program("setpriv")]), "--pdeathsig=KILL"]
    return words
