"""The picture of the rings shows the imports as they are."""

from __future__ import annotations

from tests.amends.docs.picture import FILE, picture


def test_the_picture_shows_the_imports_of_today() -> None:
    assert FILE.read_text() == picture(), "./run picture draws it anew"
