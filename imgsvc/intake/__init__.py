"""Bytes and names in, staged images out."""
