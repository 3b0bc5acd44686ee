"""What the pages name exists: commands, targets, paths, settings, files of the image."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import NAMES

ROOT = Path(__file__).parent.parent
FOLDERS = ("config", "dkim", "handlers", "smtpd", "templates", "tests")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
)
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Made at run time or by the administrator; and what dkim/README.md says must never be there.
NOT_HERE = {
    "__init__.py",
    ".env",
    "dkim/default.pem",
    "demo-out/",
    "email_data/",
    "logs/",
    "ID.eml",
}
# Words in code quotes that have a slash or an ending and are no paths.
_PATH = re.compile(r"`([\w.*-]+(?:/[\w.*-]+)*/?)`")
_ENDING = re.compile(r"\.(?:py|md|txt|toml|yml|lock|eml|j2|example|pem)$")


def id_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def named_paths(page: Path) -> set[str]:
    """What stands in code quotes and looks like a path: a folder's slash, or a file's ending."""
    text = page.read_text(encoding="utf-8")
    return {
        name
        for name in _PATH.findall(text)
        if (name.endswith("/") or _ENDING.search(name)) and name not in NOT_HERE
    }


def exists(name: str, page: Path) -> bool:
    """Whether the name is a path, or a pattern that finds one, from the root or below the page."""
    return (ROOT / name).exists() or any(ROOT.glob(name)) or any(page.parent.rglob(name))


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_every_path_a_page_names_exists(page: Path) -> None:
    assert [name for name in sorted(named_paths(page)) if not exists(name, page)] == []


def test_a_path_that_is_gone_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("see `smtpd/gone.py`, `gone/` and `README.md`", encoding="utf-8")
    assert {name for name in named_paths(page) if not exists(name, page)} == {
        "smtpd/gone.py",
        "gone/",
    }


def test_every_make_target_in_the_readme_exists_and_every_target_is_listed() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]+)", README)) - {"virtual"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert named <= targets
    assert {line.split()[1] for line in listed.stdout.splitlines()} == targets


def test_every_command_the_readme_names_is_known_to_the_command_line() -> None:
    named = set(re.findall(r"server\.py ([a-z-]+)", README))
    # The row of the rooms' table lists them all.
    row = next(line for line in README.splitlines() if line.startswith("| `server.py`"))
    named |= set(re.findall(r"`([a-z-]+)`", row))
    shown = subprocess.run(
        [sys.executable, "server.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    commands = set(re.findall(r"^ {4}([a-z-]+)(?: |$)", shown.stdout, re.MULTILINE))
    assert named == commands
    assert {"run", "demo", "explain", "stop-sending"} <= named


@pytest.mark.parametrize(
    "room", ["config", "config/demo", "handlers", "handlers/store", "handlers/web", "smtpd"]
)
def test_each_module_of_a_room_stands_on_the_rooms_page(room: str) -> None:
    named = named_paths(ROOT / room / "README.md")
    modules = {path.name for path in (ROOT / room).glob("*.py")} - {"__init__.py"}
    assert modules - named == set()


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_every_setting_a_page_names_exists(page: Path) -> None:
    # A setting in code quotes: capitals with an underscore, perhaps with a value.
    named = re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", page.read_text("utf-8"))
    assert set(named) - set(NAMES) - {"MAIL_MATERIAL", "TESTING_"} == set()


def test_the_images_files_exist() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        name
        for sources in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE)
        for name in sources.split()
    ]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    assert allowed == set(copied)


def test_the_development_lock_holds_what_the_running_one_holds() -> None:
    pinned = re.compile(r"^[a-z0-9][a-z0-9._-]*(?:\[.*\])?==\S+", re.MULTILINE)
    running, development = (
        set(pinned.findall((ROOT / name).read_text(encoding="utf-8")))
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    assert running
    assert running <= development
