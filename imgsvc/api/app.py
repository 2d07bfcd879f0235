"""The HTTP application: routes and what stands around them."""

from __future__ import annotations

from aiohttp import web

from imgsvc.api import (
    archives,
    backup,
    deliveries,
    description,
    events,
    health,
    jobs,
    metrics,
    outputs,
    presets,
    render,
    report,
    watermarks,
    web_page,
    workers,
)
from imgsvc.api.arrivals import bound_arrivals, bound_documents
from imgsvc.api.context import CONTEXT, Context
from imgsvc.api.dialects import batch_upload, batch_v1, product_csv
from imgsvc.api.dialects import jobs as jobs_dialect
from imgsvc.api.locality import check_locality
from imgsvc.api.middleware import answer_errors, identify_request, note_start
from imgsvc.intake.documents import DocumentRoom

_RESOURCES = (
    jobs,
    outputs,
    archives,
    report,
    events,
    deliveries,
    presets,
    render,
    watermarks,
    workers,
    backup,
    health,
    metrics,
    description,
    web_page,
)


def build_app(context: Context) -> web.Application:
    """The application for `context`; running and stopping it is the caller's."""
    app = web.Application(
        middlewares=[
            identify_request,
            answer_errors,
            check_locality(context.settings.server),
            bound_arrivals(context.settings.server.max_uploads),
            bound_documents(DocumentRoom()),
        ]
    )
    app[CONTEXT] = context
    app.on_startup.append(web_page.load_page)
    app.on_response_prepare.append(note_start)
    for resource in _RESOURCES:
        app.add_routes(resource.routes)
    for dialect in (batch_upload, batch_v1, product_csv, jobs_dialect):
        app.add_routes(dialect.routes)
    return app
