"""Every setting of the house: one frozen tree, read once, at start.

Each variable of the environment has its own name here, in lower case. A module
receives its own branch; nobody else reads the environment.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from config.api_settings import ApiSettings
from config.branch import Branch
from config.checks_settings import ChecksSettings
from config.courtesy_settings import CourtesySettings, OperatorSettings
from config.fields import (
    Host,
    Networks,
    OptionalAddress,
    OptionalDomain,
    OptionalHost,
    OwnAddress,
    OwnAddresses,
    Paths,
    Selector,
    Senders,
    SendersOrAll,
    Upper,
    WebAddress,
    WebPath,
)

# RFC 2142, RFC 9989 and RFC 8460: where a domain takes complaints and reports. Mail to these
# is kept for a person and never answered.
FILING_LOCALS = frozenset({"postmaster", "abuse", "dmarc", "tls-reports"})


class SettingsError(Exception):
    """The settings cannot be used: one sentence a line, each naming a setting and the cure."""


class AiSettings(Branch):
    """The AI core we ask."""

    ai_api_url: WebAddress = Field(description="Base address of the AI core's HTTP API.")
    ai_api_key: SecretStr = Field(
        default=SecretStr(""),
        description="Sent to the AI core as a bearer token; empty sends none.",
    )
    default_model: str = Field(
        default="mistral-7b-instruct", description="The model that is asked for."
    )
    ai_api_path: WebPath = Field(
        default="/generate", description="Path of generate_response below AI_API_URL."
    )
    ai_process_path: WebPath = Field(
        default="/process", description="Path of process_email below AI_API_URL."
    )
    ai_max_tokens: int = Field(default=1500, ge=1, description="Longest answer, in tokens.")
    ai_temperature: float = Field(default=0.3, ge=0, le=2, description="Sampling temperature.")
    ai_timeout: float = Field(
        default=120, gt=0, description="Seconds one answer may take, retries included."
    )
    ai_concurrency: int = Field(default=8, ge=1, description="Requests to the AI core at one time.")
    ai_answer_max_bytes: int = Field(
        default=65536, ge=1024, description="Largest answer that is used, in bytes of text."
    )


class HouseSettings(Branch):
    """Who we are, whom we answer."""

    email_address: OwnAddress = Field(description="The address that answers.")
    email_password: SecretStr = Field(
        default=SecretStr(""),
        description="Password of EMAIL_ADDRESS at the relay and the IMAP server.",
    )
    email_domain: OptionalDomain = Field(
        default="", description="Our domain; empty takes it from EMAIL_ADDRESS."
    )
    email_aliases: OwnAddresses = Field(
        default=(), description="Further addresses that answer, separated by commas."
    )
    mx_hostname: OptionalHost = Field(
        default="", description="The name this server greets with; empty means mail.EMAIL_DOMAIN."
    )
    allowed_senders: SendersOrAll = Field(
        default=("*",),
        description="Addresses and domains that may write, separated by commas; * is all.",
    )
    blocked_senders: Senders = Field(
        default=(), description="Addresses and domains that are refused, separated by commas."
    )
    unproven_sender: Literal["hold", "reject"] = Field(
        default="reject",
        description="What becomes of mail whose author this server could not prove.",
    )
    testing_answer_unproven: bool = Field(
        default=False,
        description="Answer unproven senders; only for a listener on a loopback address.",
    )
    answer_unaddressed: bool = Field(
        default=False,
        description="Answer mail that names none of our addresses in To or Cc.",
    )
    max_age_to_answer: int = Field(
        default=259200,
        ge=60,
        description="Mail older than this many seconds is held, not answered.",
    )
    received_max: int = Field(
        default=50,
        ge=5,
        description="Mail with more Received fields than this is refused as a loop.",
    )

    @field_validator("email_domain")
    @classmethod
    def domain_of_the_address(cls, value: str, info: ValidationInfo) -> str:
        """Our domain, taken from EMAIL_ADDRESS where it is not named."""
        return value or str(info.data.get("email_address", "")).rpartition("@")[2]

    @field_validator("mx_hostname")
    @classmethod
    def name_below_the_domain(cls, value: str, info: ValidationInfo) -> str:
        """Our greeting, where it is not named."""
        return value or f"mail.{info.data.get('email_domain', '')}"


class DoorSettings(Branch):
    """The listener."""

    listen_host: Host = Field(default="0.0.0.0", description="Address the SMTP listener binds.")  # noqa: S104 (an MX is public)
    listen_port: int = Field(
        default=25, ge=0, le=65535, description="Port the SMTP listener binds."
    )
    proxy_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Further port, for a proxy that speaks the PROXY protocol; 0 binds none.",
    )
    trusted_networks: Networks = Field(
        default=(),
        description="Networks whose addresses are the clients' own though they are private, and "
        "that may speak the PROXY protocol.",
    )
    tls_cert_file: Paths = Field(
        default=(),
        description="Certificate chains (PEM) for STARTTLS; the first where no name fits.",
    )
    tls_key_file: Paths = Field(
        default=(), description="Private keys (PEM) of TLS_CERT_FILE, in the same order."
    )
    message_max_bytes: int = Field(
        default=26214400, ge=65536, description="Largest message that is taken, in bytes."
    )
    headers_max_bytes: int = Field(
        default=262144, ge=8192, description="Largest header section that is taken, in bytes."
    )
    recipients_max: int = Field(default=100, ge=1, description="Recipients of one message.")
    connections_max: int = Field(default=500, ge=1, description="SMTP connections at one time.")
    connections_per_ip: int = Field(
        default=20, ge=1, description="SMTP connections at one time from one address."
    )
    connections_per_prefix: int = Field(
        default=50,
        ge=1,
        description="SMTP connections at one time from one network (IPv4 /24, IPv6 /48).",
    )
    command_timeout: float = Field(
        default=300, gt=0, description="Seconds a peer may be silent between commands."
    )
    data_min_rate: int = Field(
        default=500,
        ge=0,
        description="Bytes a second that DATA must bring, measured over 30 seconds.",
    )
    data_budget_bytes: int = Field(
        default=268435456, ge=1048576, description="Bytes of all unfinished messages together."
    )
    disk_free_min_bytes: int = Field(
        default=536870912,
        ge=0,
        description="With less space free in EMAIL_DATA_DIR no mail is taken, for the time being.",
    )
    queue_max: int = Field(
        default=100000,
        ge=1,
        description="With more mails waiting for their answer no mail is taken for a while.",
    )


class RelaySettings(Branch):
    """The upstream SMTP relay our replies leave by."""

    smtp_host: Host = Field(description="Host of the upstream relay.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the upstream relay.")
    smtp_ssl: bool = Field(
        default=True,
        description="Require verified TLS: implicit on port 465, STARTTLS on any other. "
        "false is for a relay on a loopback address.",
    )
    smtp_username: str = Field(
        default="", description="Login at the relay; empty means EMAIL_ADDRESS."
    )
    smtp_password: SecretStr = Field(
        default=SecretStr(""), description="Password at the relay; empty means EMAIL_PASSWORD."
    )
    smtp_ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) the relay's is checked against, beside the system's.",
    )
    relay_timeout: float = Field(
        default=60, gt=0, description="Seconds one hand-over to the relay may take in all."
    )
    relay_connections: int = Field(
        default=4, ge=1, description="Connections to the relay at one time."
    )
    return_path: Literal["token", "plain", "null"] = Field(
        default="token",
        description="MAIL FROM of replies: an address with a token per mail, EMAIL_ADDRESS, or <>.",
    )
    uncertain_send: Literal["resend", "hold"] = Field(
        default="resend",
        description="After a hand-over without a final reply: one more try, or a person.",
    )


class ReplySettings(Branch):
    """How a reply looks and is signed."""

    reply_language: Literal["fr"] = Field(
        default="fr", description="Language of the reply's frame."
    )
    person_address: OptionalAddress = Field(
        default="", description="Where a sender reaches a person; empty: postmaster@EMAIL_DOMAIN."
    )
    reply_to_tag: bool = Field(
        default=False,
        description="Put a Reply-To with a +tag on replies: then answers find their conversation "
        "even where a relay writes Message-IDs of its own.",
    )
    reply_name: str = Field(
        default="Assistant IA Code du Travail", description="Display name in the From of replies."
    )
    dkim_sign: Literal["ours", "relay"] = Field(
        default="ours", description="Who signs replies: this server, or the relay."
    )
    dkim_selector: Selector = Field(default="default", description="Selector of our DKIM key.")
    dkim_key_file: Path = Field(
        default=Path("dkim/default.pem"),
        description="Our RSA key for DKIM (PEM, readable by us alone).",
    )


class StoreSettings(Branch):
    """The database and its keys."""

    database_url: SecretStr = Field(
        default=SecretStr(""),
        description="postgresql://user:password@host:port/name; empty is SQLite in EMAIL_DATA_DIR.",
    )
    db_user: str = Field(default="", description="Database user, where DATABASE_URL names none.")
    db_password: SecretStr = Field(
        default=SecretStr(""), description="Database password, where DATABASE_URL holds none."
    )
    email_data_dir: Path = Field(
        default=Path("email_data"), description="Folder of this installation's own files."
    )
    secret_key: SecretStr = Field(
        description="Master secret that wraps all other keys; at least 32 characters."
    )
    testing_unsafe_durability: bool = Field(
        default=False,
        description="Start although PostgreSQL's fsync switches are off; only for tests.",
    )


class QueueSettings(Branch):
    """Where tickets wait."""

    redis_url: SecretStr = Field(
        default=SecretStr(""),
        description="redis://host:port; empty keeps the queue in this process.",
    )
    redis_password: SecretStr = Field(
        default=SecretStr(""), description="Redis password, where REDIS_URL holds none."
    )
    redis_cluster: bool = Field(
        default=False, description="REDIS_URL is a node of a Redis Cluster: keys share one slot."
    )
    queue_history: int = Field(
        default=1000, ge=1, description="How many completed and failed mails the queue remembers."
    )


class WorkerSettings(Branch):
    """How mail is worked off."""

    worker_concurrency: int = Field(default=8, ge=1, description="Mails in work at one time.")
    processing_timeout: float = Field(
        default=300, gt=0, description="Seconds one attempt at a mail may take."
    )
    drain_timeout: float = Field(
        default=30, ge=0, description="Seconds that running work may take after the signal to stop."
    )
    max_emails_per_hour: int = Field(
        default=100, ge=1, description="Answers an hour, to all together."
    )
    answers_per_sender_per_hour: int = Field(
        default=10, ge=1, description="Answers an hour to one sender."
    )
    max_attachment_size: int = Field(
        default=10485760, ge=0, description="Largest attachment that is looked into, in bytes."
    )
    cell_processes: int = Field(
        default=1, ge=1, description="Killable processes that read strangers' bytes."
    )
    cell_timeout: float = Field(
        default=10, gt=0, description="Seconds one job in such a process may take."
    )
    cell_memory_bytes: int = Field(
        default=536870912, ge=67108864, description="Memory one such process may use."
    )


class ImapSettings(Branch):
    """The mailbox that polling reads."""

    imap_host: OptionalHost = Field(
        default="", description="IMAP server, for taking mail by polling."
    )
    imap_port: int = Field(default=993, ge=1, le=65535, description="IMAP port.")
    imap_ssl: bool = Field(default=True, description="Verified TLS to the IMAP server.")
    imap_folder: str = Field(default="INBOX", description="IMAP folder that is read.")
    email_check_interval: int = Field(
        default=30, ge=1, description="Seconds between two IMAP polls."
    )


class LogSettings(Branch):
    """What is written down about the running house."""

    debug: bool = Field(
        default=False, description="Log at DEBUG, with tracebacks; never any content of a mail."
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Upper] = Field(
        default="INFO", description="Events below this level are not logged."
    )

    @property
    def level(self) -> int:
        """The level as the logging module counts: DEBUG=true goes below any LOG_LEVEL."""
        return logging.DEBUG if self.debug else logging.getLevelNamesMapping()[self.log_level]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole tree. config/loading.py grows it; the wiring hands out its branches."""

    ai: AiSettings
    house: HouseSettings
    door: DoorSettings
    checks: ChecksSettings
    relay: RelaySettings
    reply: ReplySettings
    store: StoreSettings
    queue: QueueSettings
    worker: WorkerSettings
    courtesy: CourtesySettings
    operator: OperatorSettings
    imap: ImapSettings
    api: ApiSettings
    log: LogSettings


BRANCHES: dict[str, type[Branch]] = get_type_hints(Settings)
NAMES = tuple(field.upper() for branch in BRANCHES.values() for field in branch.model_fields)
