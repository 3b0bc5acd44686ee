"""The two ways to fail, and what is neither.

    Trouble
    ├── Temporary        try again later; also everything nobody foresaw
    │   ├── Postponed    nothing is wrong, it is only not time yet
    │   │   └── AllWait  nor for any other mail
    │   └── Uncertain    the relay may have taken the mail: we do not know
    ├── Permanent        a rule or the other side said no, for good
    ├── Runaway          a job in the cell passed its deadline or its memory, and was killed
    └── ClaimLost        another worker holds the mail now: stop touching it

`because` is for our log and `explain`; it is never shown to a peer.
"""

from __future__ import annotations


class Trouble(Exception):
    """Something this house has a name for."""

    def __init__(self, because: str) -> None:
        super().__init__(because)
        self.because = because


class Temporary(Trouble):
    """Later may be better. `retry_after_s` is what the other side asked for, if it did."""

    def __init__(self, because: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(because)
        self.retry_after_s = retry_after_s


class Postponed(Temporary):
    """The mail has to wait its turn; this is no failed attempt."""


class AllWait(Postponed):
    """No mail has its turn now: the hour's answers are used up, or sending is stopped."""


class Uncertain(Temporary):
    """Message data went to the relay, and no final reply came back."""


class Permanent(Trouble):
    """Trying again would not help."""


class Runaway(Trouble):
    """A stranger's bytes kept a cell process busy for too long, or ended it."""


class ClaimLost(Trouble):
    """The database says that somebody else works on this mail."""
