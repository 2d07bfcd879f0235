"""libvips, with Pillow for what it cannot read: header, decode, steps, encode.

Loaded in worker processes only.
"""
