"""The documentation as a page: Swagger UI, all of it served by this server, so that it needs no other."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from domain.amends.errors import NotFound

ASSETS: Final = files("fastapi_offline") / "static"
"""Swagger UI as the package fastapi-offline carries it."""
TYPES: Final = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "start.js": "text/javascript"}
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{title}}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>The same as JSON: <a href="openapi.json">openapi.json</a></noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  docExpansion: "list",
});
"""


class DocsRoutes:
    """The routes /docs and below, which the OpenAPI document leaves out."""

    def __init__(self, title: str) -> None:
        self._page = PAGE.replace("{{title}}", escape(title))
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/docs", self.page, methods=["GET"], response_class=HTMLResponse)
        self.router.add_api_route("/docs/{asset}", self.asset, methods=["GET"], response_class=Response)

    async def page(self) -> HTMLResponse:
        """The page; its addresses are relative."""
        return HTMLResponse(self._page, headers=HEADERS)

    async def asset(self, asset: str) -> Response:
        """A file that the page loads."""
        if asset not in TYPES:
            raise NotFound("page", f"/docs/{asset}")
        content = START if asset == "start.js" else (ASSETS / asset).read_bytes()
        kept = HEADERS | {"Cache-Control": "no-cache" if asset == "start.js" else "max-age=3600"}
        return Response(content, headers=kept, media_type=TYPES[asset])
