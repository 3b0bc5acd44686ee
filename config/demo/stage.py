"""The stage of the demonstration: the house as it runs for real, between neighbours of our own."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.demo.ai_core import AiCore, Behaviour
from config.demo.sink import Sink
from config.loading import load
from config.log import configure
from config.running import running
from config.settings import DoorSettings, LogSettings
from handlers.signing import load_key, new_key, public_record

ADDRESS = "ai@cryptomaltese.com"
LOG_LEVEL: Final = "WARNING"
USUAL_PORT = 2525  # for mails of one's own, where nobody else has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs."""

    smtp_port: int  # of the house, on 127.0.0.1
    core: AiCore
    sink: Sink
    dkim_record: str


@asynccontextmanager
async def stage(behaviour: Behaviour, *, port: int = 0) -> AsyncIterator[Stage]:
    """The AI core, the relay and the house, up until the block ends.

    The house listens on `port` where it is free, else on any free one. Nothing outlives
    the block: the database and the key lie in a temporary folder.
    """
    # The house's log stays quiet unless something is wrong: ears.py hears its events anyway.
    configure(LogSettings(log_level=LOG_LEVEL), secrets.token_bytes(32))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="answermx-demo-")))
        key_file = folder / "dkim.pem"
        _write_private(key_file, new_key())
        core = AiCore(behaviour)
        stack.push_async_callback(core.stop)
        core_url = await core.start()
        sink = Sink(DoorSettings())
        stack.push_async_callback(sink.stop)
        sink_port = await sink.start()
        port = _free_port(port)
        settings = load(
            _environment(folder, key_file, core_url, behaviour.api_key, sink_port, port), None
        )
        await stack.enter_async_context(running(settings))
        yield Stage(
            smtp_port=port,
            core=core,
            sink=sink,
            dkim_record=as_dns_gives_it(public_record(load_key(key_file))),
        )


def _free_port(wanted: int) -> int:
    """The wanted port of 127.0.0.1 where it is free, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            # The house's listener binds with the same option: a port just left is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise OSError("no port of 127.0.0.1 is free")


def _environment(
    folder: Path, key_file: Path, core_url: str, api_key: str, sink_port: int, port: int
) -> Mapping[str, str]:
    """The settings, as an administrator would write them."""
    return {
        "AI_API_URL": core_url,
        "AI_API_KEY": api_key,
        "AI_TIMEOUT": "10",
        "DRAIN_TIMEOUT": "1",
        "EMAIL_ADDRESS": ADDRESS,
        # Nobody's identity can be proven on loopback; a real server refuses this switch.
        "TESTING_ANSWER_UNPROVEN": "true",
        "LISTEN_HOST": "127.0.0.1",
        "LISTEN_PORT": str(port),
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(sink_port),
        "SMTP_SSL": "false",
        "DKIM_KEY_FILE": str(key_file),
        "EMAIL_DATA_DIR": str(folder / "email_data"),
        "SECRET_KEY": secrets.token_urlsafe(48),
        "LOG_LEVEL": LOG_LEVEL,
    }


def as_dns_gives_it(zone_text: str) -> str:
    """The TXT record's strings joined, from their form in a zone file."""
    return "".join(zone_text.split('"')[1::2])


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
