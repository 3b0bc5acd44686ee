"""Postfix as the upstream relay: takes mail by STARTTLS and passes it to a sink.

Its queue, its configuration and its logs are all in a folder of its own; the
machine's Postfix is not touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.servers.process import (
    HOST,
    NotInstalled,
    Server,
    find_program,
    free_port,
    greeting,
    run,
    running_as_root,
)
from tests.servers.tls import TlsFiles

SYSTEM_CONFIG = Path("/etc/postfix")

# Everything but the listeners: the Debian services a relay needs, none in a chroot.
SERVICES = """\
postlog   unix-dgram n - n - 1 postlogd
pickup    unix  n - n   60 1 pickup
cleanup   unix  n - n -    0 cleanup
qmgr      unix  n - n  300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -    - trivial-rewrite
bounce    unix  - - n -    0 bounce
defer     unix  - - n -    0 bounce
trace     unix  - - n -    0 bounce
verify    unix  - - n -    1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -    - proxymap
smtp      unix  - - n -    - smtp
relay     unix  - - n -    - smtp
showq     unix  n - n -    - showq
error     unix  - - n -    - error
retry     unix  - - n -    - error
discard   unix  - - n -    - discard
anvil     unix  - - n -    1 anvil
scache    unix  - - n -    1 scache
"""


class PostfixRelay(Server):
    """A relay with three ports, whose behaviour a test can change while it runs.

    `port` offers STARTTLS, `tls_port` speaks TLS from the first byte, `plain_port`
    offers none. `relay_to` is the port of the server that all mail goes on to. `more` are
    further settings of main.cf.
    """

    name = "postfix"

    def __init__(
        self, *, relay_to: int, tls: TlsFiles, more: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._more = dict(more or {})
        self.port, self.tls_port, self.plain_port = free_port(), free_port(), free_port()
        self._relay_to = relay_to
        self._tls = tls
        self._etc = self.folder / "etc"

    @classmethod
    def check_installed(cls) -> None:
        find_program(cls.name)
        if not running_as_root():
            raise NotInstalled("Postfix runs as root only")

    def prepare(self) -> None:
        self._etc.mkdir()
        for folder in ("queue", "data", "logs"):
            (self.folder / folder).mkdir()
        run(["chown", "postfix", str(self.folder / "data")])
        run(["cp", "-r", *map(str, SYSTEM_CONFIG.glob("postfix-files*")), str(self._etc)])
        listeners = [
            f"{HOST}:{self.port} inet n - n - - smtpd",
            f"{HOST}:{self.tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes",
            f"{HOST}:{self.plain_port} inet n - n - - smtpd -o smtpd_tls_security_level=none",
        ]
        (self._etc / "master.cf").write_text("\n".join(listeners) + "\n" + SERVICES)
        self._write_settings({})
        run([find_program("postfix"), "-c", str(self._etc), "check"])

    def command(self) -> list[str]:
        # What `postfix start-fg` runs, without the shell above it.
        master = run([find_program("postconf"), "-h", "daemon_directory"]).strip() + "/master"
        return [master, "-c", str(self._etc), "-s"]

    def answers(self) -> bool:
        return greeting(self.port).startswith(b"220")

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Takes mail and keeps it in its queue; afterwards sends what it kept."""
        with self._behaving({"defer_transports": "smtp"}):
            yield
        self.flush()

    @contextlib.contextmanager
    def deferring(self) -> Iterator[None]:
        """Answers every RCPT with 450."""
        with self._behaving({"smtpd_recipient_restrictions": "defer", "defer_code": "450"}):
            yield

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Answers every RCPT with 550."""
        with self._behaving({"smtpd_recipient_restrictions": "reject", "reject_code": "550"}):
            yield

    def queued(self) -> list[str]:
        """Queue ids of the mails it holds at this moment."""
        said = run([find_program("postqueue"), "-c", str(self._etc), "-j"])
        return [json.loads(line)["queue_id"] for line in said.splitlines()]

    def flush(self) -> None:
        """Try to pass on everything it holds, now."""
        run([find_program("postqueue"), "-c", str(self._etc), "-f"])

    def clear(self) -> None:
        """Throw away everything it holds."""
        run([find_program("postsuper"), "-c", str(self._etc), "-d", "ALL"])

    def log_tail(self, lines: int = 40) -> str:
        mail_log = self.folder / "logs" / "mail.log"
        said = mail_log.read_text(errors="replace") if mail_log.exists() else ""
        return super().log_tail(lines) + "\n".join(said.splitlines()[-lines:])

    @contextlib.contextmanager
    def _behaving(self, changes: dict[str, str]) -> Iterator[None]:
        # A reload lets running processes finish first, so that nobody knows when the
        # new settings hold. A restart keeps the queue and is certain.
        self._restart_with(changes)
        try:
            yield
        finally:
            self._restart_with({})

    def _restart_with(self, changes: dict[str, str]) -> None:
        self.stop()
        self._write_settings(changes)
        self.start()

    def _write_settings(self, changes: dict[str, str]) -> None:
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data",
            "maillog_file": self.folder / "logs" / "mail.log",
            "maillog_file_prefixes": self.folder,
            "myhostname": "relay.test",
            "mydestination": "",
            "alias_maps": "",
            "local_recipient_maps": "",
            "inet_interfaces": HOST,
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "smtpd_recipient_restrictions": "permit_mynetworks, reject",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_tls_cert_file": self._tls.cert_file,
            "smtpd_tls_key_file": self._tls.key_file,
            "smtpd_tls_security_level": "may",
            "smtp_tls_security_level": "none",
            "smtp_dns_support_level": "disabled",
            "smtp_host_lookup": "native",
            "relayhost": f"[{HOST}]:{self._relay_to}",
            # A deferred mail is tried again when the test says so, or soon.
            "minimal_backoff_time": "1s",
            "maximal_backoff_time": "5s",
            "queue_run_delay": "1s",
        }
        lines = [
            f"{name} = {value}" for name, value in {**settings, **self._more, **changes}.items()
        ]
        main_cf = self._etc / "main.cf"
        main_cf.write_text("\n".join(lines) + "\n")
        # Postfix waits until a fresh file has cooled down, for somebody might still be writing.
        an_hour_ago = time.time() - 3600
        os.utime(main_cf, (an_hour_ago, an_hour_ago))
