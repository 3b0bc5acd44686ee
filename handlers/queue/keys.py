"""The names of everything this system keeps in Redis."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Key names under one namespace. In a cluster its braces put all keys in one slot."""

    cluster: bool = False

    def name(self, *words: str) -> str:
        """The one place where a key's name is made."""
        return ":".join(("{email}" if self.cluster else "email", *words))

    @property
    def pending(self) -> str:
        """List: the ordinary line, next first."""
        return self.name("queue", "pending")

    @property
    def urgent(self) -> str:
        """List: the urgent line, next first."""
        return self.name("queue", "pending", "urgent")

    @property
    def processing(self) -> str:
        """List: ids in work, longest first."""
        return self.name("queue", "processing")

    @property
    def completed(self) -> str:
        """List: what ended well, newest first, QUEUE_HISTORY long."""
        return self.name("queue", "completed")

    @property
    def failed(self) -> str:
        """List: what was given up, newest first, QUEUE_HISTORY long."""
        return self.name("queue", "failed")

    @property
    def delayed(self) -> str:
        """Sorted set: what has to wait, by its due time in milliseconds."""
        return self.name("queue", "delayed")

    @property
    def wake(self) -> str:
        """List of at most one element: somebody who sleeps has to look."""
        return self.name("queue", "wake")

    @property
    def epoch(self) -> str:
        """String: the identity of this memory."""
        return self.name("queue", "epoch")

    def status(self, email_id: str) -> str:
        return self.name(email_id, "status")

    def attempts(self, email_id: str) -> str:
        return self.name(email_id, "attempts")

    def last_attempt(self, email_id: str) -> str:
        return self.name(email_id, "last_attempt")
