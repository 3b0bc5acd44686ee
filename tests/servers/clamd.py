"""clamd without its real database: it knows one harmless test file, by a signature of our own."""

from __future__ import annotations

import hashlib

from tests.servers.process import Server, as_user, find_program, free_port, greeting, run

USER = "nobody"
# The anti-virus industry's test file (eicar.org), put together here: written out, scanners
# would object to the repository.
EICAR = b"X5O!P%@AP[4" + b"\\PZX54(P^)7CC)7}$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


class ClamServer(Server):
    """clamd on a loopback port. `stream_max` is the largest mail it takes."""

    name = "clamd"

    def __init__(self, *, stream_max: str = "50M") -> None:
        super().__init__()
        self.port = free_port()
        self._stream_max = stream_max

    def prepare(self) -> None:
        database = self.folder / "db"
        for folder in (database, self.folder / "tmp"):
            folder.mkdir()
        digest = hashlib.md5(EICAR, usedforsecurity=False).hexdigest()
        (database / "local.hdb").write_text(f"{digest}:{len(EICAR)}:Eicar-Test-File\n")
        (database / "local.ndb").write_text(f"Eicar-Test-Text:0:*:{EICAR.hex()}\n")
        settings = {
            "TCPSocket": self.port,
            "TCPAddr": "127.0.0.1",
            "DatabaseDirectory": database,
            "TemporaryDirectory": self.folder / "tmp",
            "Foreground": "yes",
            "PidFile": self.folder / "clamd.pid",
            "StreamMaxLength": self._stream_max,
        }
        lines = [f"{name} {value}" for name, value in settings.items()]
        (self.folder / "clamd.conf").write_text("\n".join(lines) + "\n")
        if as_user(USER):
            run([find_program("chown"), "-R", USER, str(self.folder)])

    def command(self) -> list[str]:
        return [*as_user(USER), find_program("clamd"), "-c", str(self.folder / "clamd.conf")]

    def answers(self) -> bool:
        return greeting(self.port, b"nPING\n").startswith(b"PONG")
