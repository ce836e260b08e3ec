"""What the scenarios count would be seen if it were wrong."""

from __future__ import annotations

import pytest

from tests.example.server import Server
from tests.example.soak.patroni.cluster.programs import missing
from tests.example.soak.patroni.following import Follower
from tests.example.soak.patroni.load import Looks

FEED = ["1", "2", "3"]
TOLD = [(2, "history-went-back", "{}")]


@pytest.mark.parametrize(
    ("seen", "told", "wrong"),
    [
        (["1", "2", "3"], [], None),
        (["1", "3"], [], "missed 1 of 3"),
        (["1", "gone", "2", "3"], [], "1 events that are gone, and was not told"),
        (["1", "3", "2"], [], "twice or in another order"),
        (["1", "2", "2", "3"], [], "twice or in another order"),
        (["1", "gone", "2", "3"], TOLD, None),
        (["1", "gone", "1", "2", "3"], TOLD, None),
        (["1", "gone", "3"], TOLD, "missed 1 of 3"),
        (["1", "2", "gone", "3"], TOLD, "was sent after it was told"),
    ],
)
def test_a_follower_has_what_stands_or_was_told(seen: list[str], told: list[tuple[int, str, str]], wrong: str) -> None:
    with Server(None) as server:
        found = " ".join(Follower(server, seen, told).wrong(FEED))
    assert wrong in found if wrong else not found


def test_times_are_those_of_what_was_asked_after_the_fault() -> None:
    looks = Looks([(0.9, 1.0), (1.4, 6.5), (6.0, 6.2), (6.6, 7.0)])
    assert looks.first_after(1.5) == pytest.approx(4.7)
    assert looks.longest_gap(1.5) == pytest.approx(5.2)


def test_packages_that_are_missing_are_named_in_one_sentence() -> None:
    said = missing("/nowhere")
    assert said is not None
    assert "apt-get install patroni etcd-server haproxy" in said
    assert "\n" not in said
