"""How fast mail is taken durably, and what it costs, against Postfix on the same machine.

All servers run from the beginning; each load goes to one after the other, round after
round, so that whatever the machine does in the meantime meets them all.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import source
from tests.bench.holding_postfix import HoldingPostfix
from tests.bench.houses import Neighbours, taking
from tests.bench.source import Load, Taken
from tests.bench.table import table
from tests.servers.smtp_sink import SmtpSink
from tests.servers.tls import make_tls_files

LOADS = (
    Load(sessions=1, kept=True, mails=300),
    Load(sessions=1, kept=False, mails=300),
    Load(sessions=20, kept=True, mails=1500),
    Load(sessions=20, kept=False, mails=1000),
    Load(sessions=200, kept=True, mails=2000),
    Load(sessions=200, kept=False, mails=1000),
)
POSTFIX = "Postfix"


@dataclass(frozen=True, slots=True)
class Server:
    """A process that takes mail."""

    pid: int
    port: int
    clear: Callable[[], object] = lambda: None


def run(neighbours: Neighbours, rounds: int, *, answer: bool) -> str:
    """The table: mails a second and CPU a mail; in brackets the rate as Postfix's multiple.

    With `answer` the house may answer: it puts each mail in line, and a stopped AI keeps
    the workers from taking part.
    """
    measured: dict[tuple[Load, str], list[Taken]] = defaultdict(list)
    with ExitStack() as stack:
        tls = make_tls_files(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        sink = stack.enter_context(SmtpSink())
        postfix = stack.enter_context(HoldingPostfix(relay_to=sink.port, tls=tls))
        servers = {POSTFIX: Server(postfix.pid, postfix.port, postfix.clear)}
        for name, house in taking(neighbours, stack, answer=answer).items():
            servers[name] = Server(house.pid, house.port)
        for server in servers.values():
            source.send(server.port, Load(sessions=200, kept=False, mails=400))  # warms up
        for _ in range(rounds):
            for load in LOADS:
                for name, server in servers.items():
                    measured[load, name].append(source.measure(server.pid, server.port, load))
            postfix.clear()
    what = "taken and put in line" if answer else "taken and held"
    return table(
        f"Mails {what}: mails a second (against Postfix), CPU ms a mail; medians of {rounds}",
        ["load", *(word for name in servers for word in (name, "CPU"))],
        [_row(load, list(servers), measured) for load in LOADS],
    )


def _row(load: Load, names: list[str], measured: dict[tuple[Load, str], list[Taken]]) -> list[str]:
    row = [str(load)]
    postfix = median(one.per_s for one in measured[load, POSTFIX])
    for name in names:
        per_s = median(one.per_s for one in measured[load, name])
        ratio = "" if name == POSTFIX else f" ({per_s / postfix:.2f})"
        row += [f"{per_s:.0f}{ratio}", f"{median(one.cpu_ms for one in measured[load, name]):.2f}"]
    return row
