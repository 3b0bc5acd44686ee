#!/usr/bin/env python3
"""The command line: parses, calls, prints.

Exit codes: 0 done, 1 it went wrong, 2 wrong usage or settings. Modules are imported inside
the commands, so that --help and `settings` answer at once instead of loading the whole house.
"""

import sys

# An old Python stops here: up to this line, and in its syntax to the last one, the file can
# be read by Python 3.6. (So no `from __future__ import annotations`, which 3.6 refuses.)
if sys.version_info < (3, 11):  # noqa: UP036 (a person may start it with any Python)
    sys.exit("AnswerMX needs Python 3.11 or newer; this is Python " + sys.version.split()[0] + ".")

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config.describing import Described
    from config.settings import Settings

WENT_WRONG = 1
WRONG_USAGE = 2

OUR_ROOMS = {"config", "handlers", "smtpd"}


def run(_arguments: argparse.Namespace) -> int:
    """Take mail and answer it, until told to stop."""
    loaded = _settings()
    from config import running

    return running.run(loaded)


def demo(arguments: argparse.Namespace) -> int:
    """Show one mail's journey on this machine alone; no configuration needed."""
    from config.demo import show

    return show.main(keep=arguments.keep)


def explain(arguments: argparse.Namespace) -> int:
    """Tell what became of a mail, and why."""
    loaded = _settings()
    from config import explaining

    return explaining.main(loaded, arguments.id, arguments.json)


def check(arguments: argparse.Namespace) -> int:
    """Look whether what the front door stands on is there: DNS, scanners, certificate, disk."""
    loaded = _settings()
    from config import checkup

    return checkup.main(loaded, arguments.json)


def mail(arguments: argparse.Namespace) -> int:
    """List the mail, decide about it, and answer it yourself."""
    loaded = _settings()
    from config import mailing

    return mailing.main(loaded, arguments)


def user(arguments: argparse.Namespace) -> int:
    """List the people who write, and say how each is treated."""
    loaded = _settings()
    from config import userbook

    return userbook.main(loaded, arguments)


def stop_sending(arguments: argparse.Namespace) -> int:
    """Stop sending replies; mail is taken and kept as ever."""
    loaded = _settings()
    from config import switching

    return switching.stop(loaded, arguments)


def resume(arguments: argparse.Namespace) -> int:
    """Send again after stop-sending."""
    loaded = _settings()
    from config import switching

    return switching.resume(loaded, arguments)


def queue(arguments: argparse.Namespace) -> int:
    """Tell how many mails wait, are held or have failed, and whether replies are sent."""
    loaded = _settings()
    from config import switching

    return switching.show(loaded, arguments)


def api_key(arguments: argparse.Namespace) -> int:
    """Make, list and revoke keys to the HTTP API."""
    loaded = _settings()
    from config import apikeys

    return apikeys.main(loaded, arguments)


def settings(arguments: argparse.Namespace) -> int:
    """List every setting: its type, default, current value and meaning."""
    from config.describing import describe, env_example
    from config.environment import find

    if arguments.example:
        sys.stdout.write(env_example())
        return 0
    found = find(os.environ, _env_file())
    if arguments.json:
        _print_settings_json(describe(), found.values)
    else:
        _print_settings_table(describe(), found.values)
    for fault in found.faults:
        sys.stderr.write(fault + "\n")
    return 0


def _print_settings_json(described: "Sequence[Described]", values: Mapping[str, str]) -> None:
    listed = [
        {
            "name": one.name,
            "type": one.kind,
            "default": one.default,
            "required": one.required,
            "value": one.shown(values),
            "sentence": one.sentence,
            "branch": one.branch,
        }
        for one in described
    ]
    sys.stdout.write(json.dumps(listed, indent=2, ensure_ascii=False) + "\n")


def _print_settings_table(described: "Sequence[Described]", values: Mapping[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for branch in dict.fromkeys(one.branch for one in described):
        table = Table(title=branch, title_justify="left", title_style="bold", expand=True)
        table.add_column("Setting", width=max(len(one.name) for one in described), style="cyan")
        table.add_column("Value", ratio=1, overflow="fold")
        table.add_column("Meaning", ratio=2, overflow="fold")
        for one in described:
            if one.branch == branch:
                default = "required" if one.required else f"default: {one.default or 'not set'}"
                meaning = Text.assemble(one.sentence, (f"\n{one.kind}; {default}", "dim"))
                # As Text: a value may hold what rich would take for markup.
                table.add_row(one.name, Text(one.shown(values)), meaning)
        console.print(table)


def _env_file() -> Path | None:
    path = Path(".env")
    return path if path.exists() else None


def _settings() -> "Settings":
    from config.loading import load

    return load(os.environ, _env_file())


def _parser() -> argparse.ArgumentParser:
    from config.commands import add_api_key, add_mail, add_switch, add_user

    parser = argparse.ArgumentParser(
        prog="server.py", description="AnswerMX: a mail server that answers its mail."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(command: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        sentence = command.__doc__
        name = command.__name__.replace("_", "-")
        one = commands.add_parser(name, help=sentence, description=sentence)
        one.set_defaults(command=command)
        return one

    add(run)
    add(demo).add_argument(
        "--keep", action="store_true", help="stay up, so that you can write to it yourself"
    )
    one = add(explain)
    one.add_argument("id", metavar="ID", help="the id we gave with 250, or behind Reference:")
    one.add_argument("--json", action="store_true", help="print JSON, for machines")
    add_mail(add(mail))
    add_user(add(user))
    add_switch(add(queue))
    add_switch(add(stop_sending))
    add_switch(add(resume))
    add_api_key(add(api_key))
    add(check).add_argument("--json", action="store_true", help="print JSON, for machines")
    form = add(settings).add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, for machines")
    form.add_argument("--example", action="store_true", help="print the text of .env.example")
    return parser


def _call(parsed: argparse.Namespace) -> int:
    from config.settings import SettingsError

    try:
        return int(parsed.command(parsed))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_USAGE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        return _call(parsed)
    except KeyboardInterrupt:
        return WENT_WRONG
    except BrokenPipeError:
        # Whoever read it has enough, as `head` has. What is left must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WENT_WRONG
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OUR_ROOMS:
            raise
        sys.stderr.write(
            f"The Python package {error.name} is not installed; "
            "run `make demo` once, then start with .venv/bin/python server.py\n"
        )
        return WENT_WRONG


if __name__ == "__main__":
    sys.exit(main())
