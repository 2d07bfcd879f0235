"""The files that a task needs beside its input."""

from __future__ import annotations

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.domain.rendering import WatermarkFile
from imgsvc.recipes.watermarks import pinned_watermarks


def find_watermarks(blobs: BlobStore, recipe: str) -> tuple[WatermarkFile, ...]:
    """recipe: canonical, its watermarks pinned."""
    return tuple(
        WatermarkFile(sha256, str(blobs.watermark_path(sha256)))
        for sha256 in pinned_watermarks(recipe)
    )
