"""The whole HTTP API, put together."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import RedirectResponse

from app.http import problems
from app.http.docs import Docs
from app.http.parameters import only_known
from app.http.roles import only_allowed

ABOUT = "Business processes that finish or are put right again, and every fact about them."


def build(routers: Iterable[APIRouter]) -> FastAPI:
    """The API without its guards."""
    app = FastAPI(
        title="Amends",
        summary=ABOUT,
        version="0.1.0",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(only_allowed), Depends(only_known)],
    )
    problems.install(app)
    for router in (*routers, Docs().router):
        app.include_router(router)
    app.add_api_route("/", _home, methods=["GET"], include_in_schema=False)
    return app


async def _home() -> RedirectResponse:
    return RedirectResponse("/docs")
