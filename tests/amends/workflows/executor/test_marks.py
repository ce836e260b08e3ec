"""Whose code runs is written where another process reads it, whatever the names of sagas are."""

from __future__ import annotations

import json

import pytest

from workflows.amends.engine.user_code.running_code import SIZE, RunningMark, code_label, read_mark

ODD = ["a" * 128, "é" * 200, "\U0001f600" * 5000, "\ud800" * 5000, '"' * 5000, "\x00" * 5000]


@pytest.mark.parametrize("text", ODD, ids=["plain", "accents", "faces", "halves", "quotes", "nulls"])
def test_any_name_is_written_and_read_again(text: str) -> None:
    marks = RunningMark()
    who = code_label(text, text, text)
    marks.enter(who)
    _, entered, found = read_mark(marks.memory)
    assert entered
    assert found == who
    assert all(text.startswith(part) and part for part in json.loads(found))


def test_a_long_id_of_a_childs_child_is_written_whole() -> None:
    id = ".".join(["book_the_whole_group"] * 40)
    assert json.loads(code_label(id, "group:1", None)) == [id, "group:1", None]


def test_what_does_not_fit_is_no_error_and_does_not_stay() -> None:
    marks = RunningMark()
    before = marks.enter(b"x" * 2 * SIZE)
    assert before is None
    assert marks.enter(code_label("s", "k:1", "step")) == b"x" * 2 * SIZE
    assert read_mark(marks.memory)[2] == code_label("s", "k:1", "step")
    assert marks.call_marked(code_label("t", "k:1", None), len, "abc") == 3
    assert read_mark(marks.memory)[2] == code_label("s", "k:1", "step")
