"""nginx as a TCP proxy that says whom it speaks for (PROXY protocol, version 1)."""

from __future__ import annotations

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

STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
READY = "ready"

# A port of its own says when it runs: a probe of the proxied one would reach the server behind.
CONFIGURATION = """\
load_module {module};
daemon off;
master_process off;
pid {run}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 256; }}
stream {{
    server {{
        listen {host}:{port};
        proxy_pass {host}:{upstream};
        proxy_protocol on;
        proxy_connect_timeout 5s;
    }}
    server {{
        listen {host}:{ready_port};
        return {ready};
    }}
}}
"""


class NginxProxy(Server):
    """Passes connections to its `port` on to `upstream`, another port on loopback.

    A client's address is what it binds before it connects: all of 127/8 is loopback.
    """

    name = "nginx"
    user = "nobody"

    def __init__(self, *, upstream: int) -> None:
        super().__init__()
        self.port = free_port()
        self._upstream = upstream
        self._ready_port = free_port()
        self._configuration = self.folder / "nginx.conf"

    @classmethod
    def check_installed(cls) -> None:
        super().check_installed()
        if not STREAM_MODULE.exists():
            raise NotInstalled("nginx has no stream module")

    def prepare(self) -> None:
        own = self.folder / "run"
        own.mkdir()
        if running_as_root():
            run(["chown", self.user, str(own)])
        self._configuration.write_text(
            CONFIGURATION.format(
                module=STREAM_MODULE,
                run=own,
                host=HOST,
                port=self.port,
                upstream=self._upstream,
                ready_port=self._ready_port,
                ready=READY,
            )
        )

    def command(self) -> list[str]:
        words = ["-p", str(self.folder), "-c", str(self._configuration), "-e", "stderr"]
        return [find_program("nginx"), *words]

    def answers(self) -> bool:
        return greeting(self._ready_port) == READY.encode()
