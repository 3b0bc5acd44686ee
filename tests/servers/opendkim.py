"""OpenDKIM as a second opinion: a verifier of our signatures, and a signer behind Postfix."""

from __future__ import annotations

import re
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import HOST, Server, ServerTrouble, find_program, free_port, run


@dataclass(frozen=True, slots=True, kw_only=True)
class DkimResult:
    """What OpenDKIM found."""

    result: (
        str  # the word after dkim=, in its Authentication-Results field; "temperror" without a key
    )
    said: str  # all its words, for a failing assertion

    @property
    def passed(self) -> bool:
        return self.result == "pass"


class OpenDkim:
    """Verifies messages with keys given here instead of asked from DNS; runs no server.

    The package's `opendkim -t` runs the filter's own code over one message; its
    setting TestDNSData answers for DNS. (TestPublicKeys of the same program does not
    work in Debian 12, and opendkim-testmsg takes no local key.)
    """

    name = "opendkim"

    def __init__(self) -> None:
        self.check_installed()

    @classmethod
    def check_installed(cls) -> None:
        """Raises NotInstalled where it cannot run."""
        find_program(cls.name)

    def verify(self, message: bytes, records: Mapping[str, str]) -> DkimResult:
        """Verify one message. `records` holds TXT records by their full DNS name."""
        with tempfile.TemporaryDirectory(prefix="answermx-opendkim-") as name:
            folder = Path(name)
            keys, mail, config = folder / "keys", folder / "mail", folder / "conf"
            keys.write_text("".join(f"{host} {text}\n" for host, text in records.items()))
            mail.write_bytes(message)
            settings = ["Mode v", f"TestDNSData file:{keys}", "AlwaysAddARHeader yes"]
            config.write_text("\n".join(settings) + "\n")
            said = run([find_program(self.name), "-x", str(config), "-v", "-v", "-t", str(mail)])
        if "rcode='451'" in said:  # as a filter it would make the peer come back
            return DkimResult(result="temperror", said=said)
        found = re.search(r"\bdkim=(\w+)", said)
        if found is None:
            raise ServerTrouble(f"OpenDKIM gave no result:\n{said}")
        return DkimResult(result=found[1], said=said)


class OpenDkimSigner(Server):
    """OpenDKIM as a milter: signs what Postfix hands it, for one domain with one key."""

    name = "opendkim"

    def __init__(self, *, domain: str, selector: str, key_file: Path, canonical: str) -> None:
        super().__init__()
        self.port = free_port()
        self._settings = {
            "Mode": "s",
            "Socket": f"inet:{self.port}@{HOST}",
            "Domain": domain,
            "Selector": selector,
            "KeyFile": str(key_file),
            "Canonicalization": canonical,
            "InternalHosts": HOST,
            "RequireSafeKeys": "no",
        }

    def prepare(self) -> None:
        lines = [f"{name} {value}" for name, value in self._settings.items()]
        self._config.write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return [find_program(self.name), "-f", "-x", str(self._config)]

    def answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    @property
    def _config(self) -> Path:
        return self.folder / "opendkim.conf"
