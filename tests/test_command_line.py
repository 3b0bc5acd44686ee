"""The command line as a person meets it: by starting it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import NAMES

ROOT = Path(__file__).parent.parent
SERVER = ROOT / "server.py"


def started(*arguments: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """One run of server.py with nothing in its environment but what is given."""
    bare = {"PATH": os.environ["PATH"], "COLUMNS": "100", **environ}
    return subprocess.run(
        [sys.executable, str(SERVER), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=bare,
        timeout=60,
    )


COMMANDS = (
    "run",
    "demo",
    "explain",
    "mail",
    "user",
    "stop-sending",
    "resume",
    "api-key",
    "check",
    "settings",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_command_with_a_sentence(command: str) -> None:
    done = started("--help")
    assert done.returncode == 0
    # A long name stands on a line of its own.
    words = done.stdout.partition("commands:")[2].replace(f"{command}\n", f"{command} ")
    line = next(line for line in words.splitlines() if line.split()[:1] == [command])
    assert len(line.split()) > 4
    assert started(command, "--help").returncode == 0


@pytest.mark.parametrize(
    "arguments", [(), ("dance",), ("explain",), ("run", "--fast"), ("mail",), ("user", "show")]
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    done = started(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_settings_needs_no_configuration_and_shows_every_name(tmp_path: Path) -> None:
    done = started("settings", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert [name for name in NAMES if name not in done.stdout] == []


def test_settings_for_machines_shows_values_and_hides_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SMTP_PASSWORD=hunter2\nREPLY_NAME=[bold]Aide\n")
    done = started("settings", "--json", cwd=tmp_path, SMTP_PORT="2525")
    listed = {one["name"]: one for one in json.loads(done.stdout)}
    assert tuple(listed) == NAMES
    assert listed["SMTP_PORT"] == {
        "name": "SMTP_PORT",
        "type": "a whole number from 1 to 65535",
        "default": "587",
        "required": False,
        "value": "2525",
        "sentence": "Port of the upstream relay.",
        "branch": "The upstream SMTP relay our replies leave by.",
    }
    assert listed["SMTP_PASSWORD"]["value"] == "set"
    assert listed["EMAIL_PASSWORD"]["value"] == "not set"
    assert "hunter2" not in done.stdout
    assert "[bold]Aide" in started("settings", cwd=tmp_path).stdout


def test_settings_goes_on_past_a_misspelt_name_and_says_so(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SMTP_PROT=25\nDEBUG=true\n")
    done = started("settings", "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ".env line 1: SMTP_PROT is no setting; rename it to SMTP_PORT.\n"
    assert {"DEBUG": "true"}.items() <= {
        one["name"]: one["value"] for one in json.loads(done.stdout)
    }.items()


@pytest.mark.parametrize("arguments", [("run",), ("explain", "abc"), ("mail", "list"), ("resume",)])
def test_bad_settings_are_exit_code_2_and_plain_sentences(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = started(*arguments, cwd=tmp_path, SMTP_PORT="many")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "SMTP_PORT must be a whole number from 1 to 65535.\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_package_is_one_sentence(tmp_path: Path) -> None:
    # -S leaves the environment's packages out, -E what PYTHONPATH would add.
    done = subprocess.run(
        [sys.executable, "-S", "-E", str(SERVER), "settings"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The Python package ")
    assert done.stderr.count("\n") == 1


def test_an_old_python_can_read_the_file_and_says_what_is_needed() -> None:
    ast.parse(SERVER.read_text(encoding="utf-8"), feature_version=(3, 6))
    program = (
        "import runpy, sys\n"
        "sys.version_info = (3, 10, 12, 'final', 0)\n"
        f"runpy.run_path({str(SERVER)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("AnswerMX needs Python 3.11 or newer")
    assert done.stderr.count("\n") == 1


def test_nothing_but_sys_is_imported_before_the_python_is_checked() -> None:
    tree = ast.parse(SERVER.read_text(encoding="utf-8"))
    check = next(index for index, node in enumerate(tree.body) if isinstance(node, ast.If))
    before = [node for node in tree.body[:check] if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in before] == ["import sys"]
