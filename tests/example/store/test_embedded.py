"""The embedded Postgres: who owns what in its folder and in its database, and what is never followed or touched."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from app.amends.postgres.embedded.programs import find_binaries, server_account
from app.amends.postgres.embedded.server import FILES, FOLDERS, EmbeddedPostgres
from app.amends.postgres.roles import as_service
from app.amends.postgres.urls import parse_url
from domain.amends.errors import StartupError
from tests.amends.harness.databases import POSTGRES_15, make_cluster, memory, prepare
from tests.amends.store.connections.test_roles import REFUSED, require_works, session
from tests.amends.store.events.test_immutable import INSERT
from tests.example.server import Server

OWNERS = """
select distinct pg_get_userbyid(x.owner) from (
    select relowner as owner, relnamespace as place from pg_class union all
    select proowner, pronamespace from pg_proc union all
    select typowner, typnamespace from pg_type union all
    select nspowner, oid from pg_namespace) as x
 where x.place in (select oid from pg_namespace where nspname in ('amends', 'dbos', 'sandbox', 'views', 'shop'))"""
SHOP = """
create schema shop;
create type shop.size as enum ('small', 'large');
create domain shop.count as int check (value >= 0);
create table shop.stock (id serial primary key, size shop.size, left_over shop.count);
create sequence shop.orders;
create view shop.all_of_it as select * from shop.stock;
create function shop.count() returns bigint language sql as 'select count(*) from shop.stock'"""
WORKING = """
select a.usename, r.rolsuper, a.application_name from pg_stat_activity as a join pg_roles as r on r.rolname = a.usename
 where a.pid <> pg_backend_pid() and a.application_name <> ''"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty data folder that any account may walk to; nothing runs in it afterwards."""
    made = Path(tempfile.mkdtemp(prefix="amends-test-", dir=memory()))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres below it, not started yet."""
    made = EmbeddedPostgres(folder / "postgres", find_binaries())
    yield made
    with suppress(OSError, StartupError):
        made.stop()


def looks(path: Path) -> dict[str, tuple[int, int, int, int, bytes]]:
    """Everything about what is below a folder, the folder itself included."""
    found = {}
    for each in (path, *sorted(path.rglob("*"))):
        about = each.lstat()
        content = each.read_bytes() if stat.S_ISREG(about.st_mode) else b""
        found[str(each)] = (about.st_mode, about.st_uid, about.st_gid, about.st_mtime_ns, content)
    return found


@pytest.fixture
def outside(folder: Path) -> Path:
    """What nobody may change: a folder with a file in it, which a link may lead to."""
    made = folder / "outside"
    made.mkdir()
    (made / "file").write_text("4711")
    (made / "file").chmod(0o644)
    return made


def plant(path: Path, outside: Path, how: str) -> None:
    """Put a link in a place, as an account might to which the folder around it belongs."""
    path.parent.mkdir(exist_ok=True)
    if owner := server_account():
        os.chown(path.parent, owner.pw_uid, owner.pw_gid)
    if how == "hard":
        path.hardlink_to(outside / "file")
    elif how == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"file": outside / "file", "folder": outside, "nothing": outside / "new"}[how])


@pytest.mark.parametrize("how", ["file", "folder", "nothing", "hard", "pipe"])
@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_link_in_the_folder_is_refused_and_leads_nowhere(
    folder: Path, embedded: EmbeddedPostgres, outside: Path, name: str, how: str
) -> None:
    plant(folder / "postgres" / name, outside, how)
    before = looks(outside)
    for act in (embedded.use, embedded.start):
        with pytest.raises(StartupError, match=f"{name} is a link, or not what it should be"):
            act()
    assert embedded.process() is None
    assert not embedded.answers()
    assert looks(outside) == before


def test_a_link_in_place_of_the_folder_is_refused(folder: Path, embedded: EmbeddedPostgres, outside: Path) -> None:
    plant(folder / "postgres", outside, "folder")
    before = looks(outside)
    with pytest.raises(StartupError, match="postgres is a link"):
        embedded.start()
    assert looks(outside) == before


@pytest.mark.parametrize("how", ["file", "folder", "nothing", "hard", "pipe"])
@pytest.mark.parametrize("name", ["postmaster.pid", "global"])
def test_a_link_among_the_servers_own_data_leads_nowhere(
    folder: Path, embedded: EmbeddedPostgres, outside: Path, name: str, how: str
) -> None:
    """The server's account may do there what it likes; whoever starts it changes nothing but the pid file itself."""
    (folder / "postgres" / "data").mkdir(parents=True)
    plant(folder / "postgres" / "data" / name, outside, how)
    before = looks(outside)
    with pytest.raises(StartupError):
        embedded.start()
    assert looks(outside) == before


def test_only_the_data_are_the_servers_account(folder: Path, embedded: EmbeddedPostgres) -> None:
    embedded.start_with_logins()
    owner, here = server_account(), folder / "postgres"
    expected = os.geteuid() if owner is None else owner.pw_uid
    assert {each.name: each.stat().st_uid for each in here.iterdir()} == {
        name: expected if name == "data" else os.geteuid()
        for name in (*FILES, "data")
        if name not in ("users.lock", "database")
    }
    assert here.stat().st_uid == os.geteuid()
    assert stat.S_IMODE(here.stat().st_mode) == (0o700 if owner is None else 0o710)
    assert {stat.S_IMODE(each.stat().st_mode) for each in here.iterdir() if each.name != "data"} == {0o600}


@pytest.mark.parametrize("version", ["18", "15"])
async def test_a_folder_of_an_earlier_version_comes_up_and_is_the_owners(version: str) -> None:
    """One in which everything was the superuser's, and the folder the server's account's."""
    programs = find_binaries() if version == "18" else POSTGRES_15
    if not programs.exists():
        pytest.skip(f"There is no Postgres in {programs}.")
    for old in make_cluster(programs, memory()):
        prepare(parse_url(old.url))
        with psycopg.connect(old.url, autocommit=True) as connection:
            connection.execute(INSERT)
            connection.execute(SHOP)
        old.stop()
        if owner := server_account():
            os.chown(old.root, owner.pw_uid, owner.pw_gid)
            os.chown(old.root / "password", owner.pw_uid, owner.pw_gid)
        old.root.chmod(0o700)
        for _ in range(2):
            old.start_with_logins()
            url = prepare(parse_url(old.service_url), parse_url(old.owner_url))
            assert url == as_service(parse_url(old.service_url))
            with psycopg.connect(old.owner_url) as connection:
                assert connection.execute(OWNERS).fetchall() == [("amends_owner",)]
                assert connection.execute("select rolsuper from pg_roles where rolname = user").fetchone() == (False,)
                assert connection.execute("select stream from amends.events order by 1").fetchone() == ("order-1",)
                connection.execute("create table shop.more (n int)")
                connection.rollback()
            old.stop()
        old.start_with_logins()
        with psycopg.connect(old.url, autocommit=True) as connection:
            connection.execute("create database other owner amends_owner")
        other = parse_url(old.owner_url).set(database="other")
        await require_works(prepare(parse_url(old.service_url).set(database="other"), other))


def test_nobody_is_a_superuser_while_it_serves(folder: Path, embedded: EmbeddedPostgres) -> None:
    with Server(None, data_dir=folder) as server:
        server.start()
        server.place_order("a")
        assert server.saga("a")["status"] == "completed"
        with psycopg.connect(embedded.owner_url) as connection:
            working = connection.execute(WORKING).fetchall()
        assert {(name, superuser) for name, superuser, _ in working} == {("amends_server", False)}
        assert {"amends committer", "amends reader", "dbos_transact"} <= {each for *_, each in working}


def test_the_login_that_serves_has_no_other_rights_to_go_back_to(embedded: EmbeddedPostgres) -> None:
    embedded.start_with_logins()
    url = prepare(parse_url(embedded.service_url), parse_url(embedded.owner_url))
    with session(url) as connection:
        connection.execute("set role none")
        for statement in [*REFUSED, "set role amends_owner", "set role postgres", "alter role amends_server createdb"]:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_login_that_changed_its_password_is_given_the_old_one_at_the_next_start(embedded: EmbeddedPostgres) -> None:
    embedded.start_with_logins()
    with psycopg.connect(embedded.service_url, autocommit=True) as connection:
        connection.execute("alter role amends_server password 'mine'")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(embedded.service_url)
    embedded.stop()
    embedded.start_with_logins()
    psycopg.connect(embedded.service_url).close()


def test_programs_in_a_folder_that_a_shell_would_misread_are_refused_in_a_sentence(folder: Path) -> None:
    programs = folder / 'five $ and "six"' / "bin"
    programs.mkdir(parents=True)
    for each in find_binaries().iterdir():
        (programs / each.name).symlink_to(each)
    with pytest.raises(StartupError, match=r'Postgres cannot be started from .*: its name has " and \$ in it'):
        EmbeddedPostgres(folder / "postgres", programs).start()
