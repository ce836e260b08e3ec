"""What a saga sees of its input, results and signals before its server is killed is what it sees after that."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.values import VALUES, Values
from tests.example.server import Server, http, wait_for
from workflows.amends.values.codec import dump, json_text

COMMAND = (sys.executable, "-m", "tests.example.crash.code.showing")


def given_as(values: Values) -> bytes:
    """Values as a caller writes them: a field with an alias is called by that."""
    data: dict[str, Any] = dump(values, Values)
    return json_text(data | {"renamed": {"the amount": data["renamed"]["amount"]}}).encode()


JSON = {"Content-Type": "application/json"}


@given(drawn=st.lists(st.tuples(VALUES, VALUES), min_size=8, max_size=8))
@settings(max_examples=1, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_a_kill_between_two_steps_changes_no_value(
    postgres_18: EmbeddedPostgres, drawn: list[tuple[Values, Values]]
) -> None:
    url: URL = fresh_database(postgres_18)
    with Server(url, lease_seconds=2) as server:
        server.start(command=COMMAND)
        for number, (values, _) in enumerate(drawn):
            begun = http.post(
                f"{server.base}/workflows/showing",
                content=given_as(values),
                headers={"Idempotency-Key": f"showing-{number}"} | JSON,
            )
            assert begun.status_code == 202, begun.text
        for number in range(len(drawn)):
            until(server, number, "waiting")
        server.kill()
        server.start(command=COMMAND)
        for number, (_, told) in enumerate(drawn):
            body = b'{"values":' + given_as(told) + b"}"
            said = http.post(
                f"{server.base}/workflows/showing-{number}/signals/showing-told", content=body, headers=JSON
            )
            assert said.status_code == 202, said.text
        for number in range(len(drawn)):
            until(server, number, "completed")
            result = http.get(f"{server.base}/workflows/showing-{number}").json()["result"]
            assert result["before"] == result["after"]


def until(server: Server, number: int, status: str) -> None:
    path = f"{server.base}/workflows/showing-{number}"
    wait_for(lambda: http.get(path).json()["status"] == status, f"it is {status}")
