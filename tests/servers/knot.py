"""Knot DNS, authoritative for the zones it is given, over UDP and TCP."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from tests.servers.process import HOST, Server, find_program, free_port, wait_until

_ASK_TIMEOUT_S = 1.0


class KnotServer(Server):
    """A nameserver on loopback. A zone is the text of its records, relative to its name.

    SOA and NS are put in front. `publish()` changes a zone while the server runs or rests.
    """

    name = "knotd"

    def __init__(self, zones: Mapping[str, str]) -> None:
        super().__init__()
        self.port = free_port()
        self._zones = dict(zones)
        self._serial = 1

    @property
    def address(self) -> str:
        """As DNS_SERVERS wants it."""
        return f"{HOST}:{self.port}"

    def prepare(self) -> None:
        for zone in self._zones:
            self._write(zone)
        zones = "\n".join(
            f"  - domain: {zone}\n    file: {self._file(zone)}" for zone in self._zones
        )
        self._config.write_text(
            f"server:\n  rundir: {self.folder}\n  listen: {HOST}@{self.port}\n"
            f"database:\n  storage: {self.folder}\n"
            "log:\n  - target: stderr\n    any: warning\n"
            f"template:\n  - id: default\n    storage: {self.folder}\n"
            "    zonefile-sync: -1\n    journal-content: none\n"
            f"zone:\n{zones}\n"
        )

    def publish(self, zone: str, records: str) -> None:
        """Change a zone, and return once it is served. Raises ServerTrouble."""
        self._zones[zone] = records
        self._serial += 1
        if not self.log_file.exists():
            return
        self.prepare()
        if self.running:
            os.kill(self.pid, signal.SIGHUP)
            wait_until(self.answers, what=f"{zone} is served anew")

    def command(self) -> list[str]:
        return [find_program("knotd"), "-c", str(self._config)]

    def answers(self) -> bool:
        return all(self._serves(zone) for zone in self._zones)

    def _serves(self, zone: str) -> bool:
        query = dns.message.make_query(zone, dns.rdatatype.SOA)
        try:
            answer = dns.query.udp(query, HOST, port=self.port, timeout=_ASK_TIMEOUT_S)
        except (dns.exception.DNSException, OSError):
            return False
        return any(rrset[0].serial == self._serial for rrset in answer.answer)

    @property
    def _config(self) -> Path:
        return self.folder / "knot.conf"

    def _file(self, zone: str) -> Path:
        return self.folder / f"{zone}.zone"

    def _write(self, zone: str) -> None:
        head = (
            f"$ORIGIN {zone}.\n$TTL 3600\n"
            f"@ SOA ns hostmaster {self._serial} 3600 600 86400 60\n@ NS ns\nns A {HOST}\n"
        )
        self._file(zone).write_text(f"{head}{self._zones[zone]}\n")
