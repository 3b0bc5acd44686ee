"""Capacity at the door: how many unfinished bytes, how much patience.

Counted per process; connections are counted in admission.py. Rates are no business of
the door: they pace answers, later.
"""

from __future__ import annotations

from dataclasses import dataclass

from smtpd import replies
from smtpd.replies import Reply

# Replies that say: this was no command we could take.
_BAD_COMMAND = frozenset({500, 501, 502, 503, 504, 553, 555})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How much one session may try us before it hears 421."""

    # Postfix stops at 20 errors, too (smtpd_hard_error_limit).
    bad_commands: int = 20
    # Of NOOP, RSET, VRFY and their like, since the last mail (smtpd_junk_command_limit).
    idle_commands: int = 100
    # More than a client needs that sends to all the recipients RFC 5321 section 4.5.3.1.8
    # grants it and learns, one 452 after the other, that we take fewer.
    refused_recipients: int = 1000
    session_s: float = 1800  # acts between two mails only
    # RFC 5321 section 4.5.3.1.4 says 512 and leaves room for parameters.
    command_bytes: int = 2048
    data_window_s: float = 30  # over which DATA_MIN_RATE is measured


class Conduct:
    """How one session behaves; each method gives the reply, or the 421 that ends it."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._bad_commands = 0
        self._idle_commands = 0
        self._refused_recipients = 0

    def answered(self, reply: Reply) -> Reply:
        """Count a reply about a command that we could not take."""
        self._bad_commands += reply.code in _BAD_COMMAND
        if self._bad_commands >= self._patience.bad_commands:
            return replies.TOO_MANY_ERRORS
        return reply

    def idled(self, reply: Reply) -> Reply:
        """Count a command that moves no mail."""
        self._idle_commands += 1
        if self._idle_commands > self._patience.idle_commands:
            return replies.TOO_MANY_ERRORS
        return reply

    def refused_recipient(self, reply: Reply) -> Reply:
        """Count a recipient that was refused."""
        self._refused_recipients += 1
        if self._refused_recipients > self._patience.refused_recipients:
            return replies.TOO_MANY_ERRORS
        return reply

    def moved_mail(self) -> None:
        """A whole message came: the idle commands before it were worth it."""
        self._idle_commands = 0


class ByteBudget:
    """The bytes of all unfinished messages together, shared by every session."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.held_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """Reserve; False, with nothing reserved, when it would be too much."""
        if self.held_bytes + size_bytes > self._most_bytes:
            return False
        self.held_bytes += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        self.held_bytes -= size_bytes


class Lease:
    """One message's share of the budget, given back whole when the message is done with."""

    __slots__ = ("_budget", "held_bytes")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.held_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """Reserve more for this message; False when the budget has no room."""
        taken = self._budget.take(size_bytes)
        if taken:
            self.held_bytes += size_bytes
        return taken

    def release(self) -> None:
        """Give everything back; harmless when repeated."""
        self._budget.give_back(self.held_bytes)
        self.held_bytes = 0
