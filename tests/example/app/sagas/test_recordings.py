"""Recordings of sagas are exported without values that are marked, and replayed where there is no database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.recordings.files import read_recording
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.program import amends, environment_of
from tests.example.server import Server, wait_for

SECRETS = ("tok_ok", "tok_declined", "Ada Lovelace", "Grace Hopper", "987654321", "sold at the door")


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18), approval_limit=100) as server:
        server.start()
        for account, balance in (("payer", 100_000), ("payee", 0)):
            opening = {"account_id": account, "owner": "Ada Lovelace", "currency": "EUR", "opening_balance": balance}
            assert server.post("/accounts", opening).status_code == 201
        yield server


def group_trip(server: Server) -> str:
    """A trip of two that are booked, whose payment waits for an approval."""
    id = f"g-{uuid4().hex[:8]}"
    members = [
        {"traveller": traveller, "flight": "LH1", "hotel": "Ritz", "car": "Mini"}
        for traveller in ("Ada Lovelace", "Grace Hopper")
    ]
    body = {"group_id": id, "members": members, "from_account": "payer", "to_account": "payee", "price": 500}
    assert server.post("/workflows/book-group-trip", body | {"currency": "EUR"}, Idempotency_Key=id).status_code == 202
    wait_for(lambda: "approval" in unfinished(server, id).values(), "the payment waits for an approval")
    return id


def unfinished(server: Server, root: str) -> dict[str, str]:
    """The sagas of a family that wait, and for what."""
    with psycopg.connect(server.environment["DATABASE_URL"]) as sql:
        waiting = "select id, waiting_for from amends.sagas where id like %s || '%%' and status = 'waiting'"
        return dict(sql.execute(waiting, (root,)).fetchall())


def order(server: Server, **changes: Any) -> str:
    """An order that is finished."""
    id = f"o-{uuid4().hex[:8]}"
    assert server.place_order(id, postcode="987654321", **changes).status_code == 202
    server.saga(id)
    return id


def exported(server: Server, folder: Path, *asked: str, status: int = 0) -> list[Path]:
    """What is exported by a command."""
    done = amends("workflows", "export", *asked, "--to", str(folder), on=server.environment["DATABASE_URL"])
    assert done.returncode == status, done.stderr
    return [Path(line) for line in done.stdout.splitlines()]


def replayed(folder: Path) -> Any:
    """What a check says of a folder where there is no database."""
    nowhere = environment_of(None, data_dir=folder / "no", postgres_bin="/nowhere")
    return amends("workflows", "check", "--recordings", str(folder), "--json", environment=nowhere)


def test_what_is_exported_is_replayed_without_a_database_and_has_no_marked_value(
    server: Server, tmp_path: Path
) -> None:
    ids = [order(server), order(server, token="tok_declined"), group_trip(server)]
    ids += unfinished(server, ids[-1])
    files = exported(server, tmp_path, *ids)
    assert [file.name.split(".", 2)[2] for file in files] == [f"{id}.json" for id in ids]
    written = [file.read_text() for file in files]
    assert len(set(files)) == len(set(ids))
    assert [(secret, text) for secret in SECRETS for text in written if secret in text] == []
    request: Any = read_recording(files[0]).input
    assert [len(request[name]) for name in ("payment_token", "postcode")] == [len("tok_ok"), len("987654321")]
    assert request["postcode"].isdecimal()
    assert request["lines"] == [{"sku": "apple", "quantity": 2, "unit_price": 350}]
    done = replayed(tmp_path)
    report = json.loads(done.stdout)
    assert (done.returncode, report["fits"], report["instances"]) == (0, len(set(ids)), len(set(ids)))


def test_a_digest_of_an_exported_recording_is_that_of_its_masked_arguments(server: Server, tmp_path: Path) -> None:
    (file,) = exported(server, tmp_path, order(server))
    recording = json.loads(file.read_text())
    recording["input"]["payment_token"] = "another"
    file.write_text(json.dumps(recording))
    done = replayed(tmp_path)
    (found,) = json.loads(done.stdout)["types"][0]["findings"]
    assert (done.returncode, found["outcome"], found["examples"]) == (1, "stranded", [str(file)])
    assert "is recorded with other arguments" in found["reason"]


def test_a_sample_has_each_type_and_point_before_a_second_one_of_any(server: Server, tmp_path: Path) -> None:
    for _ in range(3):
        group_trip(server)
    recorded = [read_recording(file) for file in exported(server, tmp_path, "--sample", "2")]
    assert sorted(each.name for each in recorded) == ["book-group-trip", "transfer-money"]
    assert len(exported(server, tmp_path / "all", "--sample", "1000")) >= 6


def test_files_that_are_no_recordings_are_each_said_in_a_sentence(server: Server, tmp_path: Path) -> None:
    (file,) = exported(server, tmp_path, order(server))
    text = file.read_text()
    changes = {
        "broken": text[:100],
        "list": "[]",
        "newer": text.replace('"format": 1', '"format": 99'),
        "gone": text.replace('"name": "place-order"', '"name": "sell-lamp"', 1),
        "wrong": text.replace('"takeovers": 0', '"takeovers": "none"'),
        "more": text.replace('"takeovers": 0', '"takeovers": 0, "colour": "red"'),
    }
    for name, changed in changes.items():
        (tmp_path / f"{name}.json").write_text(changed)
    done = amends("workflows", "check", "--recordings", str(tmp_path), environment=environment_of(None))
    assert done.returncode == 2, done.stdout
    said = {Path(line.split()[0]).stem: line for line in done.stderr.splitlines() if line.startswith(str(tmp_path))}
    assert sorted(said) == ["broken", "list", "more", "newer", "wrong"]
    assert said["newer"].endswith(
        "newer.json has format 99, and this version of Amends reads format 1; export it anew."
    )
    assert "is no recording: takeovers: " in said["wrong"]
    assert "is no recording: colour: " in said["more"]
    assert "is no JSON" in said["broken"]
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "1 would wait: there is no code for sell-lamp:1 here" in lines
    assert str(tmp_path / "gone.json") in lines


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("check", "--recordings", "nowhere"), 2, "There is no folder nowhere."),
        (("check", "--recordings", "docs"), 2, "docs has no recordings"),
        (("check",), 2, "DATABASE_URL"),
        (("export",), 2, "Give ids, or --sample N: one of the two."),
        (("export", "4711", "--sample", "3"), 2, "Give ids, or --sample N: one of the two."),
    ],
)
def test_what_cannot_be_made_ends_with_two(words: tuple[str, ...], status: int, said: str) -> None:
    wrong = environment_of("postgresql://nobody@127.0.0.1:1/none?connect_timeout=1")
    done = amends("workflows", *words, environment=wrong)
    assert done.returncode == status, done.stderr
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_an_id_that_is_none_is_not_exported(server: Server, tmp_path: Path) -> None:
    done = amends("workflows", "export", "none", "--to", str(tmp_path), on=server.environment["DATABASE_URL"])
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "none" in done.stderr
