"""Errors that say the same of different things are the same text, and say nothing of the things."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.amends.causes.normalised_error import LONGEST_ERROR, normalised, normalised_problem, problem_type
from workflows.amends.history import Problem


@pytest.mark.parametrize(
    ("said", "normal"),
    [
        ("no answer within 10 s", "no answer within … s"),
        ("the id 6d3c1f0e-5b0a-5e52-9a3e-2a64a1c0f9b7 was gone at 2026-01-31T12:00:00+00:00", "the id … was gone at …"),
        ("0xdeadbeef, 3f9a and order-4711.", "… and …."),
        ("-3.5e10 % of 1,000.00 EUR", "… % of … EUR"),
        ("KeyError: 'ada lovelace'", "KeyError: …"),
        ("it's \"Ada\", „Ada“, `Ada` or «Ada» that isn't known", "it's … or … that isn't known"),
        (r"no such name: 'O\'Hara, it\'s said'", "no such name: …"),
        ("cut within 'Ada Lovel", "cut within …"),
        ("GET https://ann:pw@pay.example/v1/charges?card=4242 failed", "GET https://pay.example/… failed"),
        ("mail to ann.smith+shop@example.org bounced", "mail to … bounced"),
        ("several\n  lines\tof it", "several lines of it"),
        ("", ""),
    ],
)
def test_variable_parts_are_taken_out(said: str, normal: str) -> None:
    assert normalised(said) == normal


@given(st.text(max_size=3000))
def test_it_is_short_on_one_line_and_the_same_when_it_is_made_again(said: str) -> None:
    normal = normalised(said)
    assert len(normal) <= LONGEST_ERROR
    assert normal.isprintable()
    assert not any(map(str.isdecimal, normal))


@given(st.text(alphabet="'\"`\\“„«a1-@…:/ ", max_size=3000))
def test_a_text_that_is_made_to_be_slow_is_not(said: str) -> None:
    assert len(normalised(said)) <= LONGEST_ERROR


def test_an_error_without_a_type_of_its_own_is_told_by_class_and_text() -> None:
    assert normalised_problem(Problem("TimeoutError", "no answer within 10 s")) == "TimeoutError: no answer within … s"
    assert normalised_problem(Problem("CancelledError", "CancelledError")) == "CancelledError"


def test_the_facts_of_an_error_are_not_in_it() -> None:
    problem = Problem(
        "Blocked", "Ada is blocked in Rome by Al", {"who": "Ada", "where": ["Rome"], "by": {"name": "Al"}}
    )
    assert normalised_problem(problem) == "Blocked: … is blocked in … by …"


def test_a_refusal_is_told_by_its_type_alone() -> None:
    assert normalised_problem(Problem("card-declined", "the card of Ada was declined")) == "card-declined"
    assert problem_type(Problem("unanswered", "no", {"error": "TimeoutError"})) == "unanswered: TimeoutError"


def test_what_a_gateway_says_of_a_provider_that_is_down_stays() -> None:
    facts = {"provider": "stock", "problem": "connection refused"}
    down = Problem("ProviderDown", "stock is down: connection refused", dict(facts))
    assert normalised_problem(down) == "ProviderDown: stock is down: connection refused"
