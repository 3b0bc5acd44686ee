"""The house as docker-compose.yml builds it: the specification's names, and settings we know."""

from __future__ import annotations

import re
from pathlib import Path

from config.settings import NAMES

ROOT = Path(__file__).parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")

# What the images of Redis and PostgreSQL themselves understand.
POSTGRES = {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"}
# The environment list of the specification's mail-service.
SPECIFIED = {
    "AI_API_URL",
    "AI_API_KEY",
    "IMAP_HOST",
    "IMAP_PORT",
    "SMTP_HOST",
    "SMTP_PORT",
    "EMAIL_ADDRESS",
    "EMAIL_PASSWORD",
    "REDIS_URL",
    "DATABASE_URL",
}


def services() -> dict[str, str]:
    """The text of each service by its name: what stands indented below it."""
    block = COMPOSE.partition("\nservices:\n")[2].partition("\nnetworks:\n")[0]
    parts = re.split(r"^  ([a-z-]+):\n", block, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def environment(service: str) -> dict[str, str]:
    """The `- NAME=value` lines below `environment:`."""
    listed = service.partition("    environment:\n")[2]
    lines = re.match(r"(?:      - .*\n)*", listed)
    return dict(re.findall(r"- (\w+)=(.*)", lines[0] if lines else ""))


def test_every_variable_of_the_mail_service_is_a_setting() -> None:
    named = environment(services()["mail-service"])
    assert set(named) >= SPECIFIED | {"SECRET_KEY"}
    assert set(named) - set(NAMES) == set()
    assert set(environment(services()["postgres"])) == POSTGRES


def test_every_value_comes_from_a_setting_of_the_env_file() -> None:
    taken = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE))
    assert taken
    assert taken - set(NAMES) == set()


def test_no_secret_stands_in_the_file() -> None:
    for service in services().values():
        for name, value in environment(service).items():
            if re.search("KEY|PASSWORD|USER", name):
                assert re.fullmatch(r"\$\{\w+(:-)?\}", value), name


def test_services_containers_volumes_and_network_have_the_specified_names() -> None:
    containers = {
        name: re.findall(r"container_name: (\S+)", text) for name, text in services().items()
    }
    assert containers == {
        "mail-service": ["mail-service"],
        "redis": ["mail-service-redis"],
        "postgres": ["mail-service-db"],
    }
    for line in (
        "./logs:/app/logs",
        "./email_data:/app/email_data",
        "redis_data:/data",
        "postgres_data:/var/lib/postgresql/data",
        '"25:25"',
    ):
        assert f"- {line}\n" in COMPOSE
    assert all("- mail-network\n" in text for text in services().values())


def test_nothing_is_published_that_is_not_served() -> None:
    # The API without TLS, so on loopback alone.
    assert re.findall(r'- "([\d.:]+):\d+"', COMPOSE) == ["25", "127.0.0.1:8002"]
