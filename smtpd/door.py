"""What all sessions of one listener share: whom they hand mail to, and how much there may be."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smtpd.admission import Admission, Capacities
from smtpd.data import DataLimits
from smtpd.limits import ByteBudget, Patience
from smtpd.mail import Arrival
from smtpd.neighbourhood import Neighbourhood
from smtpd.policy import RecipientClass
from smtpd.replies import Reply
from smtpd.tally import Sparing

if TYPE_CHECKING:
    from smtpd.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One listener's rules, and the state of all its sessions together."""

    hostname: str
    classify: Callable[[str], RecipientClass]
    receive: Callable[[Arrival], Awaitable[Reply]]
    objection: Callable[[], Reply | None]  # to any mail at all, at the moment
    tls: Callable[[], ssl.SSLContext] | None  # asked anew for each handshake
    neighbourhood: Neighbourhood
    data: DataLimits
    headers_max_bytes: int
    recipients_max: int
    command_timeout_s: float
    patience: Patience
    capacities: Capacities
    admission: Admission
    budget: ByteBudget
    sparing: Sparing = field(default_factory=Sparing)
    sessions: set[Session] = field(default_factory=set)  # admitted, coming or going
    # Mails being judged and kept, whether or not their peers hung up.
    receiving: set[asyncio.Task[Reply]] = field(default_factory=set)
