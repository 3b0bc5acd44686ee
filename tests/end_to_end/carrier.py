"""A relay that keeps count, and gives each mail to whoever lives at its address's domain.

Those may be houses, and programs that answer by themselves. What it changes on the way is
theirs to say: `carrier.bring("them.example", lambda post: …)`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from aiosmtpd.controller import Controller

from tests.end_to_end.house import House, until
from tests.end_to_end.post import Post
from tests.servers.process import HOST, free_port

Receiver = Callable[[Post], object]
_OWED = ("waiting", "written", "sending")


class Carrier:
    """A relay on loopback, between `with` and its end. It says 250 first and delivers then."""

    def __init__(self) -> None:
        self.port = free_port()
        self.carried: list[Post] = []
        self._receivers: dict[str, Receiver] = {}
        self._failures: list[Exception] = []
        self._on_its_way = 0
        self._lock = threading.Lock()
        # One, so that mails arrive in the order in which they were handed over.
        self._deliverer = ThreadPoolExecutor(1, thread_name_prefix="carrier")
        self._controller = Controller(
            self, hostname=HOST, port=self.port, server_hostname="relay.example"
        )

    def bring(self, domain: str, receiver: Receiver) -> None:
        """Give the receiver what is for this domain; mail for any other ends here."""
        self._receivers[domain] = receiver

    def to(self, domain: str) -> list[Post]:
        """What was for this domain so far."""
        return [post for post in self.carried if domain_of(post) == domain]

    @property
    def on_its_way(self) -> int:
        """How many mails are taken and not delivered yet."""
        return self._on_its_way

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """The library's hook: a mail is whole."""
        post = Post(
            mail_from=envelope.mail_from, rcpt_to=tuple(envelope.rcpt_tos), raw=envelope.content
        )
        with self._lock:
            self._on_its_way += 1
        self.carried.append(post)
        self._deliverer.submit(self._deliver, post)
        return f"250 2.0.0 Ok: queued as {len(self.carried)}"

    def _deliver(self, post: Post) -> None:
        try:
            if receiver := self._receivers.get(domain_of(post)):
                receiver(post)
        except Exception as failure:  # noqa: BLE001 (told when the carrier closes)
            self._failures.append(failure)
        finally:
            with self._lock:
                self._on_its_way -= 1

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._controller.stop()
        self._deliverer.shutdown()
        if self._failures:
            raise self._failures[0]


def domain_of(post: Post) -> str:
    """Where the mail goes; ours name one recipient each."""
    return post.rcpt_to[0].rpartition("@")[2]


def wait_for_silence(carrier: Carrier, *houses: House, timeout_s: float = 60) -> None:
    """Wait until nobody owes anything to anybody. Raises ServerTrouble after the time is up.

    Nothing is on its way and no house owes an answer, and all of them have the same mails
    still when they are asked again: then nothing can follow any more.
    """
    before: list[object] = []

    def is_silent() -> bool:
        states = [house.states() for house in houses]
        now: list[object] = [*states, len(carrier.carried), carrier.on_its_way]
        same = now == before
        before[:] = now
        return same and not carrier.on_its_way and not any(one[s] for one in states for s in _OWED)

    until(is_silent, what="silence", timeout_s=timeout_s, every_s=0.2)
