"""SpamAssassin's spamd with the rules of its package, without a network and without Bayes."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.servers.process import Server, as_user, find_program, free_port, greeting, run

USER = "nobody"
SYSTEM_CONFIG = Path("/etc/spamassassin")
RULES = Path("/usr/share/spamassassin")
# SpamAssassin's own test line, put together here, so that no filter objects to the repository.
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL" + "*C.34X"


class SpamServer(Server):
    """spamd on a loopback port."""

    name = "spamd"

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()

    def prepare(self) -> None:
        # The .pre files load the plugins: without them every mail has a score of nothing.
        shutil.copytree(SYSTEM_CONFIG, self.folder / "etc")
        (self.folder / "home").mkdir()
        (self.folder / "etc" / "local.cf").write_text(
            "use_bayes 0\nskip_rbl_checks 1\ndns_available no\nreport_safe 0\n"
        )
        if as_user(USER):
            run([find_program("chown"), "-R", USER, str(self.folder)])

    def command(self) -> list[str]:
        return [
            *(find_program("spamd"), "-L", "-x", "-i", "127.0.0.1", "-p", str(self.port)),
            *("-u", USER, "--max-children", "2", "-C", str(RULES)),
            f"--siteconfigpath={self.folder / 'etc'}",
            *("-H", str(self.folder / "home"), "-s", "stderr"),
        ]

    def answers(self) -> bool:
        return b"PONG" in greeting(self.port, b"PING SPAMC/1.5\r\n\r\n")
