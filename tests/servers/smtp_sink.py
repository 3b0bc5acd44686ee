"""smtp-sink of Postfix: takes every mail and writes each to a file of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.servers.process import (
    HOST,
    Server,
    find_program,
    free_port,
    greeting,
    run,
    running_as_root,
    wait_until,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SunkMail:
    """One mail the sink took."""

    mail_from: str
    rcpt_to: tuple[str, ...]
    raw: bytes  # as it came over the wire, with LF line ends


class SmtpSink(Server):
    """The end of the line. `options` are smtp-sink's own, for soft and hard refusals."""

    name = "smtp-sink"

    def __init__(self, *, options: Sequence[str] = ()) -> None:
        super().__init__()
        self.port = free_port()
        self._options = options
        self._mails = self.folder / "mails"

    def prepare(self) -> None:
        self._mails.mkdir()
        if running_as_root():
            run(["chown", "nobody", str(self._mails)])

    def command(self) -> list[str]:
        # It refuses to be root: it starts so and drops to `-u` by itself.
        user = ["-u", "nobody"] if running_as_root() else []
        written = ["-d", f"{self._mails}/%Y%m%d%H%M%S."]
        address = f"{HOST}:{self.port}"
        return [find_program(self.name), *user, *written, *self._options, address, "100"]

    def answers(self) -> bool:
        return greeting(self.port).startswith(b"220")

    def mails(self) -> list[SunkMail]:
        """Every mail that was taken whole; oldest first, but for those of one clock tick."""
        files = sorted(self._mails.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        # A file that is open now is still being written; one that is not, is complete.
        open_files = {Path(file.path) for file in psutil.Process(self.pid).open_files()}
        return [read_sunk(file.read_bytes()) for file in files if file not in open_files]

    def wait_for(self, count: int, *, timeout_s: float = 30) -> list[SunkMail]:
        """The mails, once so many have come. Raises ServerTrouble after the time is up."""
        wait_until(
            lambda: len(self.mails()) >= count, what=f"{count} mails sunk", timeout_s=timeout_s
        )
        return self.mails()

    def clear(self) -> None:
        """Forget what came so far."""
        for file in self._mails.iterdir():
            file.unlink()


def read_sunk(content: bytes) -> SunkMail:
    """Split what the sink wrote: its X- fields about the envelope, then the mail."""
    fields: list[str] = []
    rest = content
    while rest.startswith(b"X-"):
        line, _, rest = rest.partition(b"\n")
        fields.append(line.decode())
    # A Received field of its own making follows, folded over several lines.
    raw = re.sub(rb"\AReceived: .*\n(?:[ \t].*\n)*", b"", rest).removesuffix(b"\n")
    return SunkMail(
        mail_from=_address(_value(fields, "X-Mail-Args")[0]),
        rcpt_to=tuple(_address(value) for value in _value(fields, "X-Rcpt-Args")),
        raw=raw,
    )


def _value(fields: list[str], name: str) -> list[str]:
    return [field.removeprefix(f"{name}: ") for field in fields if field.startswith(f"{name}: ")]


def _address(argument: str) -> str:
    return argument[argument.index("<") + 1 : argument.index(">")]
