"""The settings of the checks at the door: a branch of the tree in config/settings.py."""

from __future__ import annotations

from pydantic import Field

from config.branch import Branch
from config.fields import DnsServers, OptionalHost


class ChecksSettings(Branch):
    """How an author is proven and a mail is scanned, before we say 250."""

    dns_servers: DnsServers = Field(
        default=(),
        description="Resolving nameservers, as address or address:port; empty takes the system's.",
    )
    dns_timeout: float = Field(
        default=2, gt=0, description="Seconds one DNS question may take, retries included."
    )
    dns_cache_entries: int = Field(
        default=10000, ge=0, description="DNS answers that are remembered for their time to live."
    )
    checks_timeout: float = Field(
        default=20,
        gt=0,
        description="Seconds all checks of a mail may take together; CLAMD_TIMEOUT comes on top.",
    )
    spf_timeout: float = Field(default=5, gt=0, description="Seconds SPF may take.")
    spf_queries_max: int = Field(
        default=40, ge=11, description="DNS questions that SPF may ask about one identity."
    )
    spf_record_max_bytes: int = Field(
        default=2048, ge=450, description="Largest SPF record that is read, in bytes."
    )
    dkim_timeout: float = Field(default=6, gt=0, description="Seconds DKIM may take.")
    dkim_signatures_max: int = Field(
        default=5, ge=1, description="DKIM signatures of one mail that are looked at."
    )
    dkim_rsa_min_bits: int = Field(
        default=1024, ge=1024, le=4096, description="Shortest RSA key that a signature may have."
    )
    clamd_host: OptionalHost = Field(
        default="", description="Virus scanner that speaks clamd's protocol; empty: none."
    )
    clamd_port: int = Field(default=3310, ge=1, le=65535, description="Port of CLAMD_HOST.")
    clamd_timeout: float = Field(default=25, gt=0, description="Seconds clamd may take for a mail.")
    spamd_host: OptionalHost = Field(
        default="", description="SpamAssassin's spamd; empty uses a light score of our own."
    )
    spamd_port: int = Field(default=783, ge=1, le=65535, description="Port of SPAMD_HOST.")
    spamd_timeout: float = Field(default=10, gt=0, description="Seconds spamd may take for a mail.")
    spam_hold_score: float = Field(
        default=5, description="Spam score from which a mail is held for a person."
    )
    spam_reject_score: float = Field(
        default=15, description="Spam score from which a mail is refused."
    )
    check_processes: int = Field(
        default=2, ge=1, description="Killable processes that check mail while the peer waits."
    )
