"""The stage of the demonstration: the house as it runs for real, between neighbours of our own."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from config.demo import letters
from config.demo.ai_core import AiCore, Behaviour
from config.demo.names import Names
from config.demo.sink import Sink
from config.loading import load
from config.log import configure
from config.running import running
from config.settings import DoorSettings, LogSettings
from handlers.signing import Signer, load_key, new_key, public_record

ADDRESS = "ai@cryptomaltese.com"
AUTHOR_SELECTOR = "demo"
LOG_LEVEL: Final = "WARNING"
USUAL_PORT = 2525  # for mails of one's own, where nobody else has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs."""

    smtp_port: int  # of the house, on 127.0.0.1
    core: AiCore
    sink: Sink
    dkim_record: str
    author: Signer  # signs the mails of the demonstration's author


@asynccontextmanager
async def stage(
    behaviour: Behaviour, *, port: int = 0, answers_anybody: bool = False
) -> AsyncIterator[Stage]:
    """The AI core, the relay, DNS and the house, up until the block ends.

    The house listens on `port` where it is free, else on any free one. Nothing outlives
    the block: the database and the keys lie in a temporary folder.
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
        author_key = _author_key(folder / "author.pem")
        names = Names(_zone(author_key))
        stack.callback(names.stop)
        addresses = {
            "AI_API_URL": core_url,
            "AI_API_KEY": behaviour.api_key,
            "DNS_SERVERS": f"127.0.0.1:{await names.start()}",
            "LISTEN_PORT": str(port := _free_port(port)),
            "SMTP_PORT": str(sink_port),
            "DKIM_KEY_FILE": str(key_file),
            "TESTING_ANSWER_UNPROVEN": str(answers_anybody).lower(),
            # Who tries a server out sends it the same mail again and again.
            "FUSE_FIRST_CONTACT": "0",
        }
        settings = load(_environment(folder) | addresses, None)
        await stack.enter_async_context(running(settings))
        yield Stage(
            smtp_port=port,
            core=core,
            sink=sink,
            dkim_record=as_dns_gives_it(public_record(load_key(key_file))),
            author=Signer(letters.DOMAIN, AUTHOR_SELECTOR, author_key),
        )


def _author_key(key_file: Path) -> RSAPrivateKey:
    _write_private(key_file, new_key())
    return load_key(key_file)


def _zone(author_key: RSAPrivateKey) -> dict[str, str]:
    """What the author's domain publishes, as any mail service does."""
    return {
        letters.DOMAIN: "v=spf1 ip4:127.0.0.1 -all",
        f"_dmarc.{letters.DOMAIN}": "v=DMARC1; p=reject",
        f"{AUTHOR_SELECTOR}._domainkey.{letters.DOMAIN}": as_dns_gives_it(
            public_record(author_key)
        ),
    }


def _free_port(wanted: int) -> int:
    """The wanted port of 127.0.0.1 where it is free, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            # The house's listener binds with the same option: a port just left is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise OSError("no port of 127.0.0.1 is free")


def _environment(folder: Path) -> dict[str, str]:
    """The settings, as an administrator would write them."""
    return {
        "AI_TIMEOUT": "10",
        # It shows the mail's journey, and several may run side by side.
        "API_PORT": "0",
        "DRAIN_TIMEOUT": "1",
        "EMAIL_ADDRESS": ADDRESS,
        "LISTEN_HOST": "127.0.0.1",
        # Else nobody's address could be known here, and SPF would not be asked.
        "TRUSTED_NETWORKS": "127.0.0.0/8",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_SSL": "false",
        "EMAIL_DATA_DIR": str(folder / "email_data"),
        # A laptop's disk may be nearly full; the demonstration takes two mails.
        "DISK_FREE_MIN_BYTES": "0",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "LOG_LEVEL": LOG_LEVEL,
    }


def as_dns_gives_it(zone_text: str) -> str:
    """The TXT record's strings joined, from their form in a zone file."""
    return "".join(zone_text.split('"')[1::2])


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
