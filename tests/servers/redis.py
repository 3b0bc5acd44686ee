"""Redis, without persistence unless asked, alone or as a cluster of one."""

from __future__ import annotations

from typing import Self

from tests.servers.process import (
    HOST,
    Server,
    ServerTrouble,
    find_program,
    free_port,
    greeting,
    wait_until,
)

SLOTS = 16384


class RedisServer(Server):
    """One Redis on loopback. `append_only` makes it remember over a restart.

    `cluster` makes it a cluster whose only member holds every slot: clients have to
    speak the cluster's protocol, and keys of two slots in one script are refused.
    """

    name = "redis-server"

    def __init__(self, *, append_only: bool = False, cluster: bool = False) -> None:
        super().__init__()
        self.port = free_port()
        self._append_only = append_only
        self._cluster_port = free_port() if cluster else 0

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"

    def command(self) -> list[str]:
        words = [
            find_program("redis-server"),
            *("--port", str(self.port), "--bind", HOST, "--dir", str(self.folder)),
            *("--save", "", "--appendonly", "yes" if self._append_only else "no"),
        ]
        if self._cluster_port:
            words += ["--cluster-enabled", "yes", "--cluster-port", str(self._cluster_port)]
        return words

    def answers(self) -> bool:
        return self.say("PING") == "+PONG"

    def start(self) -> Self:
        super().start()
        if self._cluster_port and "cluster_slots_ok:0" in self.say("CLUSTER INFO"):
            said = self.say(f"CLUSTER ADDSLOTSRANGE 0 {SLOTS - 1}")
            if said != "+OK":
                raise ServerTrouble(f"no cluster: {said}\n{self.log_tail()}")
        if self._cluster_port:
            wait_until(lambda: "cluster_state:ok" in self.say("CLUSTER INFO"), what="a cluster")
        return self

    def say(self, command: str) -> str:
        """Send one command without a client library; the first part of the raw reply."""
        return greeting(self.port, f"{command}\r\n".encode()).decode().removesuffix("\r\n")
