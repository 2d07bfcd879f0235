"""Formats that libvips cannot read here: Pillow and its plug-ins can, or a few lines of ours.

Every reader is a module with the two functions of `registry.Reader`. It is imported when the
first file of its format comes, so that a worker which never sees one pays nothing for it.
"""
