"""Every target on a few hundred inputs. `python -m tests.fuzz` goes on for as long as asked."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd.data import Incoming
from smtpd.headers import Headers
from smtpd.proxy import Proxied
from tests.fuzz import targets
from tests.fuzz.mutating import INPUT_MAX_BYTES, mutated
from tests.fuzz.running import Report, Target, fuzz
from tests.fuzz.seeds import FOUND, found, seeds
from tests.fuzz.targets import TARGETS

INPUTS = 500


def random_of(seed: int) -> Random:
    return Random(seed)  # noqa: S311 (to be repeated, not to be secret)


def run(name: str, target: Target, *, seed: int) -> Report:
    return fuzz(name, target, random_of(seed), lambda runs: runs < INPUTS)


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_input_breaks_no_promise(name: str) -> None:
    seed = secrets.randbits(32)
    report = run(name, TARGETS[name], seed=seed)
    assert report.failing is None, f"seed {seed}: {report.error} on {report.failing!r}"
    assert report.runs >= INPUTS


@pytest.mark.parametrize("name", TARGETS)
def test_noise_breaks_no_promise(name: str) -> None:
    given(st.binary(max_size=300))(TARGETS[name])()


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_once_stays_cured(name: str) -> None:
    for data in found(name):
        TARGETS[name](data)


def test_what_was_found_belongs_to_a_target() -> None:
    assert {path.name for path in FOUND.glob("*")} <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_a_seed_of_the_run_repeats_its_inputs(name: str) -> None:
    def inputs() -> list[bytes]:
        taken: list[bytes] = []
        run(name, taken.append, seed=7)
        return taken

    first = inputs()
    assert first == inputs()
    assert len(set(first)) > INPUTS / 4
    assert max(map(len, first)) <= INPUT_MAX_BYTES


def test_a_failing_input_is_made_as_small_as_it_can_be() -> None:
    def target(data: bytes) -> None:
        if b"\xff" in data and b":" in data:
            raise ValueError("broken on purpose")

    report = run("headers", target, seed=1)
    assert report.failing is not None
    assert sorted(report.failing) == sorted(b":\xff")
    assert report.error.startswith("ValueError: broken on purpose at ")


def deaf_to_the_end(self: Incoming, block: bytes) -> bytes | None:
    """Looks for the end within one block only."""
    self.received_bytes += len(block)
    text = b"\r\n" + block if self.received_bytes == len(block) else block
    end = text.find(b"\r\n.\r\n")
    self._take(text if end < 0 else text[: end + 2])
    return None if end < 0 else text[end + 5 :]


def test_a_reader_that_misses_an_end_between_two_blocks_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Incoming, "feed", deaf_to_the_end)
    assert run("message", targets.message, seed=1).failing is not None


@pytest.mark.parametrize(
    ("name", "reader", "broken"),
    [
        ("headers", "scan", lambda raw, _max_bytes: Headers((("A", raw),), 0)),
        ("headers", "facts", lambda *_: None),
        ("proxy", "read_header", lambda data: data[len(b"PROXY ")]),
        ("proxy", "read_header", lambda data: Proxied(source_ip="", size_bytes=len(data))),
    ],
)
def test_a_broken_reader_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, reader: str, broken: Callable[..., object]
) -> None:
    monkeypatch.setattr(targets, reader, broken)
    assert run(name, TARGETS[name], seed=1).failing is not None


def test_mutations_reach_beyond_their_seeds() -> None:
    chance, corpus = random_of(1), seeds("proxy")
    made = {mutated(corpus, chance) for _ in range(INPUTS)}
    assert len(made - set(corpus)) > INPUTS / 2
