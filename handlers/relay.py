"""Hands replies to the upstream SMTP relay, over a few kept connections.

What matters here is one moment: the first byte of the message after the relay's 354.
Before it a failure is certain to have sent nothing; after it only a final reply says
what became of the mail (RFC 5321 section 4.2.5), and without one nobody knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import aiosmtplib
from aiosmtplib import SMTP, SMTPException, SMTPResponse, SMTPResponseException

from config.settings import RelaySettings
from handlers.letter import Outgoing
from smtpd.decoding import one_line
from smtpd.errors import Permanent, Temporary, Uncertain

IMPLICIT_TLS_PORT = 465  # RFC 8314 section 3.3
IDLE_S = 60.0  # a kept connection is closed after it; most relays wait for minutes
QUIT_S = 2.0
RESET_S = 5.0  # a kept connection that takes longer to answer is given up
REPLY_MAX = 300  # characters of the relay's words that are kept

# Printable ASCII without the brackets that end a path: nothing can be added to the command.
_PATH = re.compile(r"[ -;=?-~]{0,254}")
_BARE_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")
# RFC 4954 section 6, RFC 3207: about our login or its encryption, not about this mail.
_ABOUT_LOGIN = frozenset({530, 534, 535, 538})
_STEPS = (
    (aiosmtplib.SMTPConnectResponseError, "connection"),
    (aiosmtplib.SMTPHeloError, "EHLO"),
    (aiosmtplib.SMTPAuthenticationError, "login"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """The relay, and how to talk to it."""

    host: str
    port: int
    helo: str  # the name we greet with
    tls: bool = True  # required and verified; from the first byte on port 465
    ca_file: Path | None = None  # certificates to trust beside the system's
    username: str = ""
    password: str = field(default="", repr=False)  # "" sends no login
    timeout_s: float = 60  # one hand-over in all
    connections: int = 4

    @classmethod
    def of(cls, settings: RelaySettings, *, helo: str) -> Upstream:
        """The relay that the settings describe."""
        return cls(
            host=settings.smtp_host,
            port=settings.smtp_port,
            helo=helo,
            tls=settings.smtp_ssl,
            ca_file=settings.smtp_ca_file,
            username=settings.smtp_username,
            password=settings.smtp_password.get_secret_value(),
            timeout_s=settings.relay_timeout,
            connections=settings.relay_connections,
        )


class SmtpRelay:
    """The journey's Relay. Raises ValueError for an SMTP_CA_FILE that cannot be used."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._tls = _tls_context(upstream.ca_file) if upstream.tls else None
        self._slots = asyncio.Semaphore(upstream.connections)
        self._idle: dict[SMTP, asyncio.TimerHandle] = {}  # newest last; each with its end
        self._closed = False

    async def send(self, outgoing: Outgoing) -> str:
        """Hand the reply over; the relay's final reply, one line.

        Raises Temporary, Permanent or Uncertain. A cancelled call drops its connection.
        """
        if not all(map(_PATH.fullmatch, (outgoing.mail_from, outgoing.rcpt_to))):
            raise Permanent("an address of the envelope cannot be written in a command")
        if _BARE_LINE_END.search(outgoing.raw):
            raise Permanent("the message has a CR or LF alone")
        transfer = _Transfer()
        try:
            async with asyncio.timeout(self._upstream.timeout_s), self._slots:
                return await self._hand_over(outgoing, transfer)
        except (OSError, SMTPException) as error:
            trouble = one_line(str(error), REPLY_MAX) or "not within RELAY_TIMEOUT"
            if transfer.begun:
                raise Uncertain(f"no final reply came from the relay: {trouble}") from None
            raise Temporary(f"the relay cannot be reached: {trouble}") from None

    async def close(self) -> None:
        """Close the idle connections now, and each busy one when its hand-over ends."""
        self._closed = True
        idle, self._idle = self._idle, {}
        for ends in idle.values():
            ends.cancel()
        await asyncio.gather(*map(_quit, idle))
        await asyncio.sleep(0)  # dropped transports are gone after the loop's next round

    async def _hand_over(self, outgoing: Outgoing, transfer: _Transfer) -> str:
        smtp = await self._ready()
        try:
            receipt = await _transact(smtp, outgoing, transfer)
        except _Refused as refusal:
            # A reply was read, so both sides know where they are; the next user says RSET.
            self._keep(smtp)
            raise refusal.outcome from None
        except BaseException:
            _drop(smtp)
            raise
        self._keep(smtp)
        return receipt

    async def _ready(self) -> SMTP:
        """A kept connection that still answers, else a new one."""
        while self._idle:
            smtp, ends = self._idle.popitem()
            ends.cancel()
            if await _still_answers(smtp):
                return smtp
        return await self._connect()

    def _keep(self, smtp: SMTP) -> None:
        loop = asyncio.get_running_loop()
        self._idle[smtp] = loop.call_later(IDLE_S, self._retire, smtp)
        if self._closed or not smtp.is_connected:
            self._idle[smtp].cancel()
            self._retire(smtp)

    def _retire(self, smtp: SMTP) -> None:
        """Say QUIT without waiting for the answer, and close."""
        del self._idle[smtp]
        if smtp.protocol is not None and smtp.is_connected:
            smtp.protocol.write(b"QUIT\r\n")
        smtp.close()

    async def _connect(self) -> SMTP:
        """A new connection: greeted, encrypted, logged in. All that fails here is temporary."""
        upstream = self._upstream
        implicit = upstream.tls and upstream.port == IMPLICIT_TLS_PORT
        smtp = SMTP(
            hostname=upstream.host,
            port=upstream.port,
            local_hostname=upstream.helo,
            use_tls=implicit,
            start_tls=False,  # said below, where it is required
            tls_context=self._tls,
            timeout=None,  # one deadline stands around everything
        )
        try:
            await smtp.connect()
            await smtp.ehlo()
            if upstream.tls and not implicit:
                await smtp.starttls()
                await smtp.ehlo()
            await self._log_in(smtp)
        except SMTPResponseException as refusal:
            _drop(smtp)
            step = next((name for kind, name in _STEPS if isinstance(refusal, kind)), "STARTTLS")
            words = _words(refusal.code, refusal.message)
            raise Temporary(f"the relay refused our {step}: {words}") from None
        except BaseException:
            _drop(smtp)
            raise
        return smtp

    async def _log_in(self, smtp: SMTP) -> None:
        username, password = self._upstream.username, self._upstream.password
        if not password:
            return
        loopback = ipaddress.ip_address(smtp.get_transport_info("peername")[0]).is_loopback
        if not self._upstream.tls and not loopback:
            raise Temporary("SMTP_SSL is false, and a password is not sent without encryption")
        offered = smtp.server_auth_methods
        if "plain" in offered:
            await smtp.auth_plain(username, password)
        elif "login" in offered:
            await smtp.auth_login(username, password)
        elif "cram-md5" in offered:
            await smtp.auth_crammd5(username, password)
        elif not loopback:
            # On this machine EMAIL_PASSWORD may be there for the IMAP server alone.
            raise Temporary("the relay offers no login that we know")


@dataclass(slots=True)
class _Transfer:
    """How far one hand-over has come."""

    begun: bool = False  # the first byte after 354 may have left


class _Refused(Exception):
    """The relay said no in a reply of its own."""

    def __init__(self, outcome: Temporary | Permanent) -> None:
        super().__init__()
        self.outcome = outcome


async def _transact(smtp: SMTP, outgoing: Outgoing, transfer: _Transfer) -> str:
    """MAIL, RCPT, DATA. Each is a command of its own, so that the moment of 354 is known."""
    raw = outgoing.raw if outgoing.raw.endswith(b"\r\n") else outgoing.raw + b"\r\n"
    limit = smtp.esmtp_extensions.get("size", "")  # RFC 1870; 0 or nothing is no limit
    if limit.isdecimal() and 0 < int(limit[:18]) < len(raw):
        raise _Refused(Permanent(f"the relay takes {limit} bytes, and the reply has {len(raw)}"))
    mail = b"FROM:<%b>" % outgoing.mail_from.encode()
    parameters = tuple(_parameters(smtp, raw))
    _expect(await smtp.execute_command(b"MAIL", mail, *parameters), 250, "our address")
    to = b"TO:<%b>" % outgoing.rcpt_to.encode()
    _expect(await smtp.execute_command(b"RCPT", to), 250, "the recipient")
    _expect(await smtp.execute_command(b"DATA"), 354, "DATA")
    protocol = smtp.protocol
    if protocol is None or not protocol.is_connected:
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")
    # RFC 5321 section 4.5.2: a line that begins with a dot gets another one.
    stuffed = b"." * raw.startswith(b".") + raw.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    transfer.begun = True
    protocol.write(stuffed)
    reply = await protocol.read_response()
    _expect(reply, 250, "the message")
    return _words(reply.code, reply.message)


def _parameters(smtp: SMTP, raw: bytes) -> Iterator[bytes]:
    """What MAIL says of the message. Raises _Refused where the relay does not take it so."""
    if smtp.supports_extension("size"):
        yield b"SIZE=%d" % len(raw)
    if raw.isascii():
        return
    # RFC 6152 section 3: eight-bit octets only where they were offered and are announced.
    if not smtp.supports_extension("8bitmime"):
        raise _Refused(Permanent("the relay takes no 8-bit message (8BITMIME)"))
    yield b"BODY=8BITMIME"


def _expect(reply: SMTPResponse, code: int, what: str) -> None:
    """Raises _Refused for a refusal, SMTPException for a reply that is neither."""
    if reply.code == code or (code == 250 and reply.code // 100 == 2):
        return
    said = f"the relay refused {what}: {_words(reply.code, reply.message)}"
    if reply.code // 100 == 4 or reply.code in _ABOUT_LOGIN:
        raise _Refused(Temporary(said))
    if reply.code // 100 == 5:
        raise _Refused(Permanent(said))
    raise SMTPException(f"a reply out of place: {_words(reply.code, reply.message)}")


async def _still_answers(smtp: SMTP) -> bool:
    """Whether a kept connection can take another mail; drops it where not."""
    try:
        async with asyncio.timeout(RESET_S):
            if (await smtp.execute_command(b"RSET")).code == 250:
                return True
    except (OSError, SMTPException):
        pass
    except BaseException:
        _drop(smtp)
        raise
    _drop(smtp)
    return False


async def _quit(smtp: SMTP) -> None:
    with contextlib.suppress(OSError, SMTPException):
        async with asyncio.timeout(QUIT_S):
            await smtp.execute_command(b"QUIT")
    # A polite close would wait for the relay's end of TLS, and leave the socket till then.
    _drop(smtp)


def _drop(smtp: SMTP) -> None:
    """Close at once; what is not sent yet is not sent."""
    if smtp.transport is not None:
        cast(asyncio.WriteTransport, smtp.transport).abort()
    smtp.close()


def _words(code: int, message: str) -> str:
    return one_line(f"{code} {message}", REPLY_MAX)


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise ValueError(f"SMTP_CA_FILE {ca_file} cannot be used: {error.strerror}") from None
    return context
