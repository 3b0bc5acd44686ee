"""`python -m tests.fuzz`: every target for a while. Exit code 1 when one failed."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Callable
from random import Random

from tests.fuzz.running import fuzz, save
from tests.fuzz.targets import TARGETS


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _for(seconds: float) -> Callable[[int], bool]:
    ends_at = time.monotonic() + seconds
    return lambda _: time.monotonic() < ends_at


def main() -> int:
    """Run what was asked for, print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)} (all)")
    parser.add_argument("--seconds", type=float, default=10, help="for each target (10)")
    parser.add_argument("--seed", type=int, default=None, help="repeats the inputs of a run")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    _say(f"seed {seed}")
    failed = 0
    for name in arguments.targets or TARGETS:
        chance = Random(f"{seed} {name}")  # noqa: S311 (to be repeated, not to be secret)
        report = fuzz(name, TARGETS[name], chance, _for(arguments.seconds))
        _say(str(report))
        if report.failing is not None:
            failed += 1
            _say(f"FAILED {report.error}\n  input saved to {save(report)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
