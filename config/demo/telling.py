"""What the demonstration prints: the journey, the reply as a person sees it, the checks."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

SHOWN_HEADERS = (
    "From",
    "To",
    "Subject",
    "In-Reply-To",
    "Auto-Submitted",
    "DKIM-Signature",
)
LONGEST_HEADER = 90  # characters; of a signature the beginning is enough
PANEL_WIDTH = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One step of a mail's journey."""

    at: datetime
    event: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that must be true of a reply, and whether it is."""

    claim: str
    holds: bool


class Teller:
    """Prints to standard output: with colour and frames on a terminal, plain elsewhere."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A terminal of another encoding shows a ? and does not end the demonstration.
            sys.stdout.reconfigure(errors="replace")
        self._console = Console(highlight=False, soft_wrap=True)

    def say(self, sentence: str) -> None:
        self._console.print(escape(sentence))

    def headline(self, sentence: str) -> None:
        self._console.print(f"\n[bold]{escape(sentence)}[/bold]")

    def journey(self, ticket: str, began: datetime, moments: Sequence[Moment]) -> None:
        """One line a step, with the seconds since the mail was sent."""
        self.headline(f"The journey of mail {ticket}")
        for moment in moments:
            after_s = (moment.at - began).total_seconds()
            self._console.print(f"  {after_s:+7.3f} s  {_line(moment)}")

    def moment(self, ticket: str, moment: Moment) -> None:
        """One step as it happens."""
        self._console.print(f"{moment.at:%H:%M:%S} {ticket}  {_line(moment)}")

    def mail(self, mail: EmailMessage, title: str) -> None:
        """The header fields that matter, and the text part."""
        headers = "\n".join(
            f"{name}: {_shortened(str(mail[name]))}" for name in SHOWN_HEADERS if mail[name]
        )
        shown = f"{headers}\n\n{text_of(mail).rstrip()}"
        if self._console.is_terminal:
            self._console.print()
            panel = Panel(escape(shown), title=title, title_align="left", width=PANEL_WIDTH)
            self._console.print(panel, soft_wrap=False)
        else:
            self.headline(title)
            self._console.print(
                escape("\n".join(f"  {line}".rstrip() for line in shown.split("\n")))
            )

    def checks(self, checks: Sequence[Check]) -> None:
        self.headline("Checked")
        for check in checks:
            sign = "[green]✓[/green]" if check.holds else "[red]✗ not so:[/red]"
            self._console.print(f"  {sign} {escape(check.claim)}")


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """The text of the mail's plain or HTML body, "" without one."""
    body = mail.get_body((kind,))
    return str(body.get_content()) if body else ""


def _line(moment: Moment) -> str:
    return f"[cyan]{moment.event:<10}[/cyan]  {escape(moment.because)}".rstrip()


def _shortened(value: str) -> str:
    line = " ".join(value.split())
    return line if len(line) <= LONGEST_HEADER else line[: LONGEST_HEADER - 1] + "…"
