"""The settings: what is taken, what stops the start, and how they are described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from config.database import database, redis_url
from config.describing import describe, env_example
from config.environment import find
from config.loading import load
from config.ourselves import own_addresses, refuse_ourselves_as_relay, relay_is_this_server
from config.settings import NAMES, Settings, SettingsError

ROOT = Path(__file__).parent.parent
BAD_CONFIGS = ROOT / "tests" / "bad_configs"
GOOD = {name: value or "" for name, value in dotenv_values(BAD_CONFIGS / "good.env").items()}

SPECIFIED = """
AI_API_URL AI_API_KEY DEFAULT_MODEL EMAIL_ADDRESS EMAIL_PASSWORD EMAIL_DOMAIN IMAP_HOST IMAP_PORT
IMAP_SSL IMAP_FOLDER SMTP_HOST SMTP_PORT SMTP_SSL SMTP_USERNAME SMTP_PASSWORD DATABASE_URL DB_USER
DB_PASSWORD REDIS_URL REDIS_PASSWORD DEBUG LOG_LEVEL EMAIL_CHECK_INTERVAL MAX_EMAILS_PER_HOUR
MAX_ATTACHMENT_SIZE PROCESSING_TIMEOUT SECRET_KEY ALLOWED_SENDERS BLOCKED_SENDERS
""".split()  # noqa: SIM905 (so many quotes would read worse)

# Names from a desktop, CI, systemd, Docker links, Kubernetes, other programs.
ORDINARY = """
AI_API AI_HOME API_KEY API_URL APP_HOST APP_PORT AWS_SECRET_ACCESS_KEY
COLORTERM CURL_CA_BUNDLE DB_HOST DB_NAME DB_PASSWORD_FILE
DB_PORT DEBIAN_FRONTEND DEBUGINFOD_URLS DISPLAY DOMAIN EMAIL EMAIL_HOST_PASSWORD GIT_AUTHOR_EMAIL
HOME HOST HOSTNAME HTTPS_PROXY IMAP_PORT_993_TCP INVOCATION_ID JOURNAL_STREAM
KUBERNETES_SERVICE_HOST LANG LC_ALL LISTEN_FDNAMES LISTEN_FDS LISTEN_PID LOGNAME LS_COLORS MAIL
MAILTO MAIL_PASSWORD MAIL_SERVICE_HOST NOTIFY_SOCKET OPENAI_API_KEY PATH PGPASSWORD POSTGRES_DB
POSTGRES_PASSWORD POSTGRES_PORT_5432_TCP_ADDR PWD PYTHONUNBUFFERED QUEUE REDIS_HOST REDIS_PORT
REDIS_PORT_6379_TCP REDIS_SERVICE_PORT S SECRET SECRET_KEY_BASE SHELL SMTP SMTP_PORT_587_TCP_ADDR
SMTP_PROXY SMTP_SERVER SSH_AUTH_SOCK SSL_CERT_FILE TERM USER XAI_API_KEY XDG_RUNTIME_DIR _
http_proxy no_proxy
""".split()  # noqa: SIM905 (so many quotes would read worse)


def loaded(**more: str) -> Settings:
    return load({**GOOD, **more}, None)


def written(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    return path


def broken(case: Path, folder: Path) -> tuple[dict[str, str], Path]:
    """The environment and the .env of a case, completed from good.env."""
    environ: dict[str, str] = {}
    lines = ""
    if case.with_suffix(".env").exists():
        lines = case.with_suffix(".env").read_text(encoding="utf-8")
    else:
        name, _, value = case.with_suffix(".environ").read_text(encoding="utf-8").partition("=")
        environ[name] = value.rstrip("\n").replace("\\n", "\n")
    absent = "".join(f"{name}={value}\n" for name, value in GOOD.items() if f"{name}=" not in lines)
    path = folder / "env"
    path.write_text(lines + absent, encoding="utf-8")
    return environ, path


@pytest.mark.parametrize("case", sorted(BAD_CONFIGS.glob("*.expected")), ids=lambda case: case.stem)
def test_a_bad_configuration_stops_with_its_sentence(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # the cases name files by their path from here
    environ, env_file = broken(case, tmp_path)
    with pytest.raises(SettingsError) as refusal:
        load(environ, env_file)
    assert str(refusal.value) == case.read_text(encoding="utf-8").rstrip("\n")
    assert "letmein" not in str(refusal.value)


def test_the_good_configuration_that_the_bad_ones_are_completed_from_is_good() -> None:
    assert load({}, BAD_CONFIGS / "good.env").house.email_address == "ai@house.example"


@pytest.mark.parametrize(
    "values",
    [
        {"EMAIL_PASSWORD": "secure_email_password", "SMTP_PASSWORD": "the relay's own"},
        {"DB_PASSWORD": "secure_password", "DATABASE_URL": "postgresql://u:p@h/d"},
        {"DB_PASSWORD": "secure_password"},
        {"IMAP_SSL": "false"},
        {"SECRET_KEY": "é" * 16},
        {"SMTP_SSL": "false", "SMTP_HOST": "127.0.0.1"},
        {"SMTP_SSL": "false", "SMTP_HOST": "::1"},
        {"SMTP_SSL": "false", "SMTP_HOST": "localhost"},
        {"TESTING_ANSWER_UNPROVEN": "true", "LISTEN_HOST": "127.0.0.1"},
    ],
    ids=str,
)
def test_what_does_no_harm_starts(values: dict[str, str]) -> None:
    assert loaded(**values)


def test_every_variable_of_the_specification_is_a_setting_by_its_own_name() -> None:
    assert set(SPECIFIED) <= set(NAMES)


def test_the_specification_s_example_is_taken_once_its_placeholders_are_filled(
    tmp_path: Path,
) -> None:
    text = (BAD_CONFIGS / "specification.env").read_text(encoding="utf-8")
    for placeholder in ("your_api_key_here", "secure_email_password", "your_secret_key_here"):
        text = text.replace(placeholder, "a real value that is long enough for any of them")
    settings = load({}, written(tmp_path, text))
    assert settings.worker.max_attachment_size == 10485760
    assert settings.worker.processing_timeout == 300
    assert settings.house.allowed_senders == ("*",)
    assert settings.house.blocked_senders == ("spam@example.com", "malware@example.com")
    assert settings.queue.redis_password.get_secret_value() == ""
    assert database(settings.store).url.password == "password"  # the URL's, not DB_PASSWORD


def test_the_environment_stands_above_the_file_unless_it_is_empty(tmp_path: Path) -> None:
    env_file = written(tmp_path, "SMTP_PORT=465\nLOG_LEVEL=ERROR\n")
    settings = load({**GOOD, "SMTP_PORT": "2525", "LOG_LEVEL": " "}, env_file)
    assert settings.relay.smtp_port == 2525
    assert settings.log.log_level == "ERROR"


def test_a_comment_behind_an_empty_value_is_no_value(tmp_path: Path) -> None:
    env_file = written(tmp_path, "REDIS_PASSWORD=  # none\nEMAIL_PASSWORD=#1! $HOME\n")
    settings = load(GOOD, env_file)
    assert settings.queue.redis_password.get_secret_value() == ""
    assert settings.house.email_password.get_secret_value() == "#1! $HOME"


def test_compose_s_own_names_may_stand_in_the_file(tmp_path: Path) -> None:
    assert load(GOOD, written(tmp_path, "COMPOSE_PROJECT_NAME=mail\n"))


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read \(Is a directory\)"):
        load(GOOD, tmp_path)
    (tmp_path / "latin").write_bytes(b"REPLY_NAME=caf\xe9\n")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load(GOOD, tmp_path / "latin")


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_variable_of_the_environment_stops_nothing(name: str) -> None:
    assert find({name: "x"}, None).faults == ()


def test_several_faults_are_told_one_a_line_in_the_order_of_the_tree() -> None:
    with pytest.raises(SettingsError) as refusal:
        loaded(IMAP_PORT="x", AI_MAX_TOKENS="0", SMTP_PORT="-1")
    names = [line.split()[0] for line in str(refusal.value).splitlines()]
    assert names == ["AI_MAX_TOKENS", "SMTP_PORT", "IMAP_PORT"]


def test_what_is_empty_is_taken_from_its_neighbour() -> None:
    settings = loaded(EMAIL_ADDRESS="Ai@House.Example", EMAIL_PASSWORD="s3cret")
    assert settings.house.email_address == "Ai@house.example"
    assert settings.house.email_domain == "house.example"
    assert settings.house.mx_hostname == "mail.house.example"
    assert settings.relay.smtp_username == "Ai@House.Example"
    assert settings.relay.smtp_password.get_secret_value() == "s3cret"


def test_a_relay_without_any_password_gets_no_login() -> None:
    assert loaded().relay.smtp_username == ""


def test_the_login_at_the_relay_may_be_its_own() -> None:
    settings = loaded(EMAIL_PASSWORD="mailbox", SMTP_USERNAME="u", SMTP_PASSWORD="relay")
    assert settings.relay.smtp_username == "u"
    assert settings.relay.smtp_password.get_secret_value() == "relay"


def test_sender_lists_hold_addresses_and_domains_in_one_spelling() -> None:
    settings = loaded(ALLOWED_SENDERS="Example.COM, @partner.test,Bob@Bücher.example,,example.com")
    assert settings.house.allowed_senders == (
        "example.com",
        "partner.test",
        "Bob@xn--bcher-kva.example",
    )


def test_debug_goes_below_any_level_and_a_level_may_be_written_small() -> None:
    assert loaded(DEBUG="yes", LOG_LEVEL="error").log.level == 10
    assert loaded(LOG_LEVEL="error").log.level == 40


def test_a_secret_does_not_show_when_settings_are_printed() -> None:
    settings = loaded(SMTP_PASSWORD="hunter2hunter2", DATABASE_URL="postgresql://u:hunter2@h/d")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(database(settings.store))
    assert GOOD["SECRET_KEY"] not in repr(settings)


@pytest.mark.parametrize(
    ("url", "told", "connect_args"),
    [
        ("postgresql://u:p%40@h:5433/d", "postgresql+asyncpg://u:p%40@h:5433/d", {}),
        ("postgres://h/d?sslmode=require", "postgresql+asyncpg://us:er@h/d", {"ssl": "require"}),
        ("postgresql://u@h/d", "postgresql+asyncpg://u:er@h/d", {}),
        ("sqlite:///mail/x.db", "sqlite+aiosqlite:///mail/x.db", {}),
        ("sqlite:////var/x.db", "sqlite+aiosqlite:////var/x.db", {}),
        ("", "sqlite+aiosqlite:///data/answermx.sqlite3", {}),
    ],
)
def test_the_database_is_told_to_sqlalchemy(
    url: str, told: str, connect_args: dict[str, object]
) -> None:
    found = database(
        loaded(DATABASE_URL=url, DB_USER="us", DB_PASSWORD="er", EMAIL_DATA_DIR="data").store
    )
    assert found.url.render_as_string(hide_password=False) == told
    assert found.connect_args == connect_args
    assert found.is_sqlite == told.startswith("sqlite")


@pytest.mark.parametrize(
    ("url", "password", "told"),
    [
        ("redis://redis:6379", "", "redis://redis:6379"),
        ("redis://redis:6379/1", "p@ss/", "redis://:p%40ss%2F@redis:6379/1"),
        ("rediss://user@redis", "pw", "rediss://user:pw@redis"),
        ("redis://:own@[::1]:6379", "pw", "redis://:own@[::1]:6379"),
        ("", "pw", ""),
    ],
)
def test_the_redis_password_is_put_where_the_url_holds_none(
    url: str, password: str, told: str
) -> None:
    assert redis_url(loaded(REDIS_URL=url, REDIS_PASSWORD=password).queue) == told


@pytest.mark.parametrize(
    ("host", "port", "resolved", "ours", "verdict"),
    [
        ("mail.house.example", "587", [], [], True),
        ("MAIL.house.example.", "587", [], [], True),
        ("relay.example", "25", ["192.0.2.9"], ["192.0.2.9"], True),
        ("relay.example", "587", ["192.0.2.9"], ["192.0.2.9"], False),
        ("relay.example", "25", ["192.0.2.8"], ["192.0.2.9"], False),
        ("192.0.2.1", "25", ["192.0.2.1"], [], True),
        ("localhost", "25", [], [], True),
        ("127.0.0.1", "2525", ["127.0.0.1"], ["127.0.0.1"], False),
    ],
)
def test_a_relay_that_is_this_server_is_known(
    host: str, port: str, resolved: list[str], ours: list[str], verdict: bool
) -> None:
    settings = loaded(SMTP_HOST=host, SMTP_PORT=port, LISTEN_HOST="192.0.2.1")
    assert relay_is_this_server(settings, resolved, ours) is verdict


def test_only_addresses_of_this_machine_are_own() -> None:
    assert own_addresses(["127.0.0.1", "192.0.2.77", "not an address"]) == {"127.0.0.1"}


async def test_the_start_refuses_itself_as_relay_and_takes_another_port() -> None:
    await refuse_ourselves_as_relay(loaded(SMTP_HOST="127.0.0.1", SMTP_PORT="587"))
    with pytest.raises(SettingsError, match="SMTP_HOST is this server"):
        await refuse_ourselves_as_relay(loaded(SMTP_HOST="127.0.0.1", SMTP_PORT="25"))


def test_the_example_file_is_fresh() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example(), (
        "write it anew: python3 server.py settings --example > .env.example"
    )


def test_the_example_file_with_every_default_spelt_out_means_the_defaults(tmp_path: Path) -> None:
    everything = re.sub(r"^#(?=[A-Z_]+=)", "", env_example(), flags=re.MULTILINE)
    assert "\nSMTP_PORT=587\n" in everything
    assert load(GOOD, written(tmp_path, everything)) == load(GOOD, None)


def test_every_setting_is_described_in_words() -> None:
    described = describe()
    assert tuple(one.name for one in described) == NAMES
    for one in described:
        assert one.sentence.endswith("."), one.name
        assert one.kind, one.name
        assert one.branch, one.name
    required = {one.name for one in described if one.required}
    assert required == {"AI_API_URL", "EMAIL_ADDRESS", "SMTP_HOST", "SECRET_KEY"}
