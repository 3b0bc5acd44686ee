"""How many requests a minute one client may make: a token bucket each, in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

_MINUTE_S = 60.0
# Whoever has that many addresses is held back by none of them.
_CLIENTS_MAX = 10_000


class Rates:
    """A minute's requests may come at once; then each waits for its turn."""

    def __init__(
        self,
        per_minute: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        clients_max: int = _CLIENTS_MAX,
    ) -> None:
        self._turn_s = _MINUTE_S / per_minute
        self._clock = clock
        self._clients_max = clients_max
        # By client, when their bucket is full again; who came last stands last.
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def wait_s(self, client: Hashable) -> float:
        """The seconds until the client's next turn, 0 for now."""
        empty_s = max(0.0, self._full_at.get(client, 0.0) - self._clock())
        return max(0.0, empty_s + self._turn_s - _MINUTE_S)

    def take(self, client: Hashable) -> float:
        """Take a turn; the seconds until the next one where there is none now."""
        if wait_s := self.wait_s(client):
            return wait_s
        full_at = max(self._full_at.get(client, 0.0), self._clock()) + self._turn_s
        self._full_at[client] = full_at
        self._full_at.move_to_end(client)
        if len(self._full_at) > self._clients_max:
            self._full_at.popitem(last=False)
        return 0.0
