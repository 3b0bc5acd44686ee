"""What the AI client reads: answers of every kind, wishes to wait. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.thinking import AiOptions, pause_s, read_object, retry_after, usable_answer
from smtpd.errors import Temporary

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FIELDS = ("response", "model", "tokens_used", "processing_time", "suggested_subject")


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"response": "Oui."}',
        b'{"response": "Oui.", "extra": [1, {}]}',
        b'{"response": " Oui.\\r\\n", "tokens_used": "many", "processing_time": NaN}',
        b'{"response": "O\\ud800ui\\u0000.", "model": 4, "tokens_used": true}',
        b'{"response": "Oui.", "tokens_used": -1, "processing_time": 1e400}',
    ],
)
def test_an_odd_answer_with_a_response_in_it_is_used(body: bytes) -> None:
    assert usable_answer(read_object(body), AiOptions()) == {
        "response": "Oui.",
        "model": "mistral-7b-instruct",
        "tokens_used": 0,
        "processing_time": 0.0,
        "suggested_subject": "",
    }


def test_an_answer_over_its_bound_is_not_used() -> None:
    with pytest.raises(Temporary, match="AI_ANSWER_MAX_BYTES"):
        usable_answer({"response": "é" * 600}, AiOptions(answer_max_bytes=1000))


def test_pauses_double_up_to_their_limit_and_are_never_shorter_than_asked() -> None:
    assert [pause_s(attempt, None, 1.0) for attempt in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 30.0]
    assert pause_s(1, None, 0.0) == 0.25
    assert pause_s(1, 20.0, 0.5) == 20.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None),
        ("soon", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("-5", None),
        ("²", None),
        ("9" * 5000, None),
        ("Mon, 23 Nov 2026 12:02:00 GMT", 120.0),
        ("Mon, 23 Nov 2026 12:02:00 -0000", 120.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2026 25:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_breaks_its_reader(value: str) -> None:
    asked = retry_after(value, NOW)
    assert asked is None or asked >= 0


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(FIELDS), _json))
def test_any_json_is_a_usable_answer_or_temporary(said: dict[str, Any]) -> None:
    try:
        answer = usable_answer(said, AiOptions())
    except Temporary:
        return
    assert [type(answer[key]) for key in FIELDS] == [str, str, int, float, str]
    json.dumps(answer, allow_nan=False).encode()
