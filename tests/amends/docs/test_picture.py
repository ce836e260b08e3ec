"""The picture of the rings shows the imports as they are."""

from __future__ import annotations

from tests.amends.docs.blocks import blocks
from tests.amends.docs.picture import PAGE, picture


def test_the_picture_shows_the_imports_of_today() -> None:
    (drawn,) = (block.text for block in blocks(PAGE) if block.language == "mermaid")
    assert drawn == picture(), "./run picture draws it anew"
