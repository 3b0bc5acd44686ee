"""What cannot stand together, or must not stand at all. Each rule is named by its objection.

A rule sees the whole tree and gives its sentences, cure included, never a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from config.database import database, redis_url
from config.ourselves import is_loopback
from config.settings import FILING_LOCALS, Settings, SettingsError

SECRET_KEY_BYTES = 32  # 256 bits, what AES-256 deserves
MAKE_A_KEY = "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"

# The example values of the specification: known to everybody.
API_KEY_PLACEHOLDER = "your_api_key_here"
SECRET_KEY_PLACEHOLDER = "your_secret_key_here"  # noqa: S105 (that it is none is the point)
MAIL_PASSWORD_PLACEHOLDER = "secure_email_password"  # noqa: S105
DB_PASSWORD_PLACEHOLDER = "secure_password"  # noqa: S105


def api_key_is_the_placeholder(settings: Settings) -> Iterator[str]:
    if settings.ai.ai_api_key.get_secret_value() == API_KEY_PLACEHOLDER:
        yield "AI_API_KEY is the example's placeholder; put in your AI core's key, or leave it out."


def mail_password_is_the_placeholder(settings: Settings) -> Iterator[str]:
    own = settings.house.email_password.get_secret_value()
    relay = settings.relay.smtp_password.get_secret_value()
    if own == MAIL_PASSWORD_PLACEHOLDER and (settings.imap.imap_host or relay == own):
        yield "EMAIL_PASSWORD is the example's placeholder; put in the mailbox's password."
    elif relay == MAIL_PASSWORD_PLACEHOLDER:
        yield "SMTP_PASSWORD is the example's placeholder; put in the relay's password."


def login_is_half_given(settings: Settings) -> Iterator[str]:
    if settings.relay.smtp_username and not settings.relay.smtp_password.get_secret_value():
        yield "SMTP_USERNAME has no password; set SMTP_PASSWORD or EMAIL_PASSWORD, or remove it."
    if settings.imap.imap_host and not settings.house.email_password.get_secret_value():
        yield "IMAP_HOST needs EMAIL_PASSWORD; set it, or remove IMAP_HOST."


def secret_key_is_no_secret(settings: Settings) -> Iterator[str]:
    key = settings.store.secret_key.get_secret_value()
    if key == SECRET_KEY_PLACEHOLDER:
        yield f"SECRET_KEY is the example's placeholder; {MAKE_A_KEY}"
    elif len(key.encode()) < SECRET_KEY_BYTES:
        yield f"SECRET_KEY is shorter than {SECRET_KEY_BYTES} bytes; {MAKE_A_KEY}"


def domain_is_another(settings: Settings) -> Iterator[str]:
    house = settings.house
    if house.email_domain != house.email_address.rpartition("@")[2]:
        yield "EMAIL_DOMAIN is not the domain of EMAIL_ADDRESS; correct one, or leave it out."


def filing_address_would_answer(settings: Settings) -> Iterator[str]:
    house = settings.house
    for name, addresses in (
        ("EMAIL_ADDRESS", (house.email_address,)),
        ("EMAIL_ALIASES", house.email_aliases),
    ):
        if any(one.partition("@")[0].lower() in FILING_LOCALS for one in addresses):
            yield (
                f"{name} must not be postmaster, abuse, dmarc or tls-reports: "
                "their mail is for a person; take another name."
            )


def operator_would_be_ourselves(settings: Settings) -> Iterator[str]:
    house, operator = settings.house, settings.operator.operator_address
    own = {house.email_domain, house.mx_hostname}
    own |= {one.rpartition("@")[2] for one in (house.email_address, *house.email_aliases)}
    if operator and operator.rpartition("@")[2] in own:
        yield (
            "OPERATOR_ADDRESS is at a domain of this server, where its mail would come back; "
            "name a mailbox at another domain."
        )


def person_would_be_the_ai(settings: Settings) -> Iterator[str]:
    house = settings.house
    local, _, domain = settings.reply.person_address.lower().rpartition("@")
    own = {one.lower() for one in (house.email_address, *house.email_aliases)}
    if f"{local.partition('+')[0]}@{domain}" in own:
        yield (
            "PERSON_ADDRESS is an address that the AI answers; name a mailbox that a person "
            "reads, or leave it out."
        )


def stranger_could_reach_a_test_switch(settings: Settings) -> Iterator[str]:
    if settings.house.testing_answer_unproven and not is_loopback(settings.door.listen_host):
        yield "TESTING_ANSWER_UNPROVEN needs LISTEN_HOST=127.0.0.1; remove it from a real server."


def password_would_travel_in_the_clear(settings: Settings) -> Iterator[str]:
    relay, imap = settings.relay, settings.imap
    if not relay.smtp_ssl and not is_loopback(relay.smtp_host):
        yield "SMTP_SSL=false is for a relay on a loopback address; set SMTP_SSL=true."
    if imap.imap_host and not imap.imap_ssl and not is_loopback(imap.imap_host):
        yield "IMAP_SSL=false is for a server on a loopback address; set IMAP_SSL=true."


def certificate_is_half_given(settings: Settings) -> Iterator[str]:
    certificates, keys = len(settings.door.tls_cert_file), len(settings.door.tls_key_file)
    if certificates != keys:
        missing = "TLS_KEY_FILE" if keys < certificates else "TLS_CERT_FILE"
        yield (
            f"{missing} names too few files; STARTTLS needs as many files in TLS_CERT_FILE "
            "as in TLS_KEY_FILE."
        )


def file_cannot_be_read(settings: Settings) -> Iterator[str]:
    ca_file = settings.relay.smtp_ca_file
    for name, paths in (
        ("TLS_CERT_FILE", settings.door.tls_cert_file),
        ("TLS_KEY_FILE", settings.door.tls_key_file),
        ("SMTP_CA_FILE", (ca_file,) if ca_file else ()),
    ):
        for path in paths:
            if because := _unreadable(path):
                yield f"{name} cannot be read ({because}); correct the path or the permissions."


def spam_would_be_refused_before_it_is_held(settings: Settings) -> Iterator[str]:
    checks = settings.checks
    if checks.spam_reject_score < checks.spam_hold_score:
        yield "SPAM_REJECT_SCORE is below SPAM_HOLD_SCORE; raise it, or lower the other."


def proxy_is_trusted_by_nobody(settings: Settings) -> Iterator[str]:
    door = settings.door
    if door.proxy_port and not door.trusted_networks:
        yield "PROXY_PORT needs TRUSTED_NETWORKS: name the proxy's address there, or remove it."
    if door.proxy_port and door.proxy_port == door.listen_port:
        yield "PROXY_PORT is LISTEN_PORT; give the proxy a port of its own."


def api_would_take_the_doors_port(settings: Settings) -> Iterator[str]:
    port, door = settings.api.api_port, settings.door
    if port and port in {door.listen_port, door.proxy_port}:
        yield "API_PORT is the mail's own port; choose another one, or 0 for no API."


def _unreadable(path: Path) -> str:
    try:
        with path.open("rb"):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__


def budget_is_smaller_than_a_message(settings: Settings) -> Iterator[str]:
    if settings.door.data_budget_bytes < settings.door.message_max_bytes:
        yield "DATA_BUDGET_BYTES is below MESSAGE_MAX_BYTES; raise it, or lower the other."


def database_cannot_be_told(settings: Settings) -> Iterator[str]:
    try:
        password = database(settings.store).url.password
    except SettingsError as error:
        yield str(error)
    else:
        if password == DB_PASSWORD_PLACEHOLDER:
            yield "DB_PASSWORD is the example's placeholder; put in the database's password."


def redis_cannot_be_told(settings: Settings) -> Iterator[str]:
    try:
        redis_url(settings.queue)
    except SettingsError as error:
        yield str(error)


RULES: tuple[Callable[[Settings], Iterator[str]], ...] = (
    api_key_is_the_placeholder,
    domain_is_another,
    filing_address_would_answer,
    operator_would_be_ourselves,
    person_would_be_the_ai,
    stranger_could_reach_a_test_switch,
    mail_password_is_the_placeholder,
    login_is_half_given,
    password_would_travel_in_the_clear,
    certificate_is_half_given,
    spam_would_be_refused_before_it_is_held,
    proxy_is_trusted_by_nobody,
    api_would_take_the_doors_port,
    file_cannot_be_read,
    budget_is_smaller_than_a_message,
    database_cannot_be_told,
    redis_cannot_be_told,
    secret_key_is_no_secret,
)


def objections(settings: Settings) -> list[str]:
    """Everything the rules object to, in their order; reads whether named files open."""
    return [sentence for rule in RULES for sentence in rule(settings)]
