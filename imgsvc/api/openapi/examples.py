"""Documents to show, as a server gives them."""

from __future__ import annotations

from typing import Any

JOB_ID = "019aa0c5-2f6e-7c31-9a4e-6f1d0c8b7a55"
IMAGE_ID = "019aa0c5-2f70-7d12-8c3b-0a7d5e9f4b21"
CREATED_AT = "2026-11-20T10:00:00.123Z"
FINISHED_AT = "2026-11-20T10:00:00.512Z"

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABAQAAAAA3bvkkAAAACklEQVR4AWNgAAAAAgABc3UBGAAAAABJRU5ErkJggg=="
"""The smallest picture, in base64."""

RECIPE: dict[str, Any] = {
    "variants": [
        {"name": "card", "width": 400, "height": 300, "mode": "fill", "format": "webp"},
        {"name": "full", "width": 1920, "format": "avif", "quality": 60},
    ]
}

JOB_SPEC: dict[str, Any] = {
    "images": [
        {"url": "https://shop.example/beach.jpg", "name": "beach.jpg"},
        {"data": DOT, "name": "dot.png"},
    ],
    "preset": "thumbnail",
    "label": "autumn shop",
}

JOB: dict[str, Any] = {
    "id": JOB_ID,
    "status": "completed",
    "total": 1,
    "completed": 1,
    "failed": 0,
    "cancelled": 0,
    "progress": 100.0,
    "eta_s": 0.0,
    "label": "autumn shop",
    "priority": "normal",
    "preset": "thumbnail",
    "recipe": {
        "variants": [
            {"name": "thumbnail", "width": 200, "height": 200, "format": "webp", "quality": 85}
        ]
    },
    "open": False,
    "source": "api",
    "input_bytes": 482133,
    "output_bytes": 6112,
    "errors": {},
    "created_at": CREATED_AT,
    "started_at": "2026-11-20T10:00:00.140Z",
    "finished_at": FINISHED_AT,
    "expires_at": "2026-11-21T10:00:00.512Z",
    "links": {
        "self": f"/api/v1/jobs/{JOB_ID}",
        "images": f"/api/v1/jobs/{JOB_ID}/images",
        "events": f"/api/v1/jobs/{JOB_ID}/events",
        "archive": f"/api/v1/jobs/{JOB_ID}/archive.zip",
        "report": f"/api/v1/jobs/{JOB_ID}/report.csv",
    },
}

IMAGE: dict[str, Any] = {
    "id": IMAGE_ID,
    "index": 0,
    "name": "beach.jpg",
    "status": "completed",
    "attempts": 1,
    "source": {"kind": "upload", "url": None},
    "error": None,
    "last_error": None,
    "warnings": [],
    "analysis": {
        "dominant_colour": "#3b5d79",
        "has_alpha": False,
        "thumbhash": "4PcFHYJFcYhlcFsVw1fipHZfhGMB",
    },
    "input": {
        "format": "jpeg",
        "width": 4000,
        "height": 3000,
        "frames": 1,
        "size_bytes": 482133,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    },
    "outputs": [
        {
            "variant": "thumbnail",
            "format": "webp",
            "width": 200,
            "height": 150,
            "frames": 1,
            "size_bytes": 6112,
            "sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
            "reused": False,
            "url": f"/api/v1/jobs/{JOB_ID}/images/0/outputs/thumbnail",
        }
    ],
    "started_at": "2026-11-20T10:00:00.141Z",
    "finished_at": FINISHED_AT,
    "duration_ms": 84,
}

PRESET: dict[str, Any] = {
    "name": "shop",
    "readonly": False,
    "recipe": RECIPE,
    "updated_at": CREATED_AT,
}

PRODUCT_LIST = (
    "S. No.,Product Name,Input Image Urls\n"
    '1,Sandals,"https://shop.example/left.jpg,https://shop.example/right.jpg"\n'
)
