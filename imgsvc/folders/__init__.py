"""Folders that are watched: what stands in them, and when it has stopped changing."""
