"""Brings a database up to date before anything is done with it."""

from __future__ import annotations

import logging

from sqlalchemy import URL

from app.store.generations import require_in_order
from app.store.layout import require_known
from app.store.migrate import migrate
from app.store.roles import grant
from app.store.urls import conninfo, formatted
from app.store.usable import require_as_asked, require_usable
from workflows.durable import runtime

log = logging.getLogger("amends")


def prepare(url: URL, owner: URL | None = None) -> URL:
    """Check the server and bring both schemas up to date; returns the URL that the service is to use.

    `owner` is who migrates, if that is somebody else. Raises Unusable.
    """
    owner = owner or url
    require_usable(url)
    require_usable(owner)
    runtime.migrate(conninfo(formatted(owner)))
    for name in migrate(owner):
        log.info("Migrated: %s", name)
    require_known(owner, runtime.newest_migration())
    require_in_order(owner)
    return require_as_asked(grant(owner, url))
