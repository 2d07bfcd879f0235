"""Ten thousand images on one page."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from imgsvc.blobs.layout import Layout
from imgsvc.domain.rendering import AnalysisFacts, InputFacts, OutputFacts, Rendered
from imgsvc.store.images import ImageResult
from imgsvc.store.store import Store
from tests.page.visitor import shown_state
from tests.pictures import make_webp
from tests.server_process import ServerProcess
from tests.store.builders import DAMAGED, new_image, new_job

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = 10_000
FAILED_EACH = 1_000
MOST_NODES = 1_500
