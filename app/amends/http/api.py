"""The whole HTTP API, put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from app.amends.http import problems
from app.amends.http.openapi.docs import DocsRoutes
from app.amends.http.openapi.document import openapi_document
from app.amends.http.paths import mount_path
from app.amends.http.requests.parameters import require_known_parameters
from app.amends.http.requests.roles import require_allowed_role
from workflows.amends.saga import Saga

ABOUT = "Business processes that finish or are put right again, and every fact about them."


class DocumentedApi(FastAPI):
    """FastAPI with a document that includes problems and security; it is made at the first request for it."""

    def __init__(self, known: list[APIRouter], guarded: bool, sagas: Sequence[Saga[Any, Any]], **options: Any) -> None:
        super().__init__(**options)
        self._known, self._guarded, self._sagas = known, guarded, sagas

    def openapi(self) -> dict[str, Any]:
        """The document."""
        self.openapi_schema = self.openapi_schema or openapi_document(self, self._known, self._guarded, self._sagas)
        return self.openapi_schema

    def allowed_methods(self, path: str) -> str:
        """The methods that a path takes, of whichever route, as the header `Allow` lists them."""
        routes = [each for router in self._known for each in router.routes if isinstance(each, APIRoute)]
        found = {method for each in routes if each.path_regex.match(path) for method in each.methods or ()}
        found |= {"HEAD"} if "GET" in found else set()  # the guards answer it
        return ", ".join(sorted(found)) or "GET, HEAD"


def build_api(
    routers: Iterable[APIRouter], guarded: bool = False, sagas: Sequence[Saga[Any, Any]] = (), title: str = "Amends"
) -> FastAPI:
    """The API without its guards; `guarded` says for its document that these want a token, `sagas` what is started.

    A path with a slash too many is not redirected: it is another path, and not found.
    """
    known = [*routers, DocsRoutes(title).router]
    app = DocumentedApi(
        known,
        guarded,
        sagas,
        title=title,
        summary=ABOUT,
        version="0.1.0",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(require_allowed_role), Depends(require_known_parameters)],
    )
    problems.install_error_handlers(app, app.allowed_methods)
    for router in known:
        app.include_router(router)
    app.add_api_route("/", _home, methods=["GET"], include_in_schema=False)

    return app


async def _home(request: Request) -> RedirectResponse:
    return RedirectResponse(f"{mount_path(request.scope)}/docs")
