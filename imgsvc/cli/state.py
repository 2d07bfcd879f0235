"""What commands leave beside their results."""

from __future__ import annotations

STATE_FOLDER = ".imgsvc"
"""Where the out folder remembers what is done."""
