"""The composition root: the core, and the server around it."""

from imgsvc.runtime.server import serve

__all__ = ["serve"]
