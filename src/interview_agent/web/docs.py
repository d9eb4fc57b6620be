"""`/openapi.json` and a page that shows it, without any other machine."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from aiohttp import web
from swagger_ui_bundle import swagger_ui_path

from interview_agent.web.openapi import Document, for_viewer
from interview_agent.web.route import OpenRoute

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_VIEWER_FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_KEEP = {"Cache-Control": "public, max-age=3600"}


def _page(text: str, content_type: str) -> web.Response:
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return web.Response(text=text, content_type=content_type, charset="utf-8", headers=headers)


def _json(document: Document) -> web.Response:
    text = json.dumps(document, ensure_ascii=False)
    return web.Response(text=text, content_type="application/json")


def docs_routes(document: Document) -> tuple[OpenRoute, ...]:
    """Return the routes of the description, the page and the files of the viewer."""
    pages = files("interview_agent.web") / "pages"
    html = (pages / "docs.html").read_text(encoding="utf-8")
    script = (pages / "docs.js").read_text(encoding="utf-8")
    older = for_viewer(document)
    viewer = Path(str(swagger_ui_path))

    async def openapi(_: web.Request) -> web.Response:
        return _json(document)

    async def openapi_for_viewer(_: web.Request) -> web.Response:
        return _json(older)

    async def page(_: web.Request) -> web.Response:
        return _page(html, "text/html")

    async def page_script(_: web.Request) -> web.Response:
        return _page(script, "text/javascript")

    async def viewer_file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(viewer / request.match_info["name"], headers=_KEEP)

    names = "|".join(_VIEWER_FILES).replace(".", r"\.")
    return (
        OpenRoute("/openapi.json", openapi, "The description of the API"),
        OpenRoute("/docs", page, "A page that shows it"),
        OpenRoute("/redoc", page, "The same page"),
        OpenRoute("/docs/openapi.json", openapi_for_viewer, "The description for that page"),
        OpenRoute("/docs/docs.js", page_script, "The script of that page"),
        OpenRoute(f"/docs/{{name:{names}}}", viewer_file, "The viewer"),
    )
