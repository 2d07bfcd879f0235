"""What the handlers work with, put into the app by the composition root."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.config import Settings
from imgsvc.dispatch.workforce import Workforce
from imgsvc.progress.hub import Hub
from imgsvc.progress.pace import Paces
from imgsvc.service.append import Appender
from imgsvc.service.delete import Deleter
from imgsvc.service.exposition import Exposition
from imgsvc.service.idempotency import Idempotency
from imgsvc.service.notify import Notifier
from imgsvc.service.presets import Presets
from imgsvc.service.readiness import Readiness
from imgsvc.service.reconsider import Reconsiderer
from imgsvc.service.redeliver import Redeliverer
from imgsvc.service.render import Renderer
from imgsvc.service.submit import Submitter
from imgsvc.service.wait import Waiter
from imgsvc.service.watermarks import Watermarks
from imgsvc.store.store import Store


@dataclass(frozen=True, slots=True)
class Context:
    settings: Settings
    store: Store
    blobs: BlobStore
    hub: Hub
    paces: Paces
    submitter: Submitter
    deleter: Deleter
    presets: Presets
    readiness: Readiness
    reconsiderer: Reconsiderer
    appender: Appender
    waiter: Waiter
    redeliverer: Redeliverer
    notifier: Notifier
    watermarks: Watermarks
    idempotency: Idempotency
    workforce: Workforce
    renderer: Renderer
    exposition: Exposition


CONTEXT = web.AppKey("context", Context)
