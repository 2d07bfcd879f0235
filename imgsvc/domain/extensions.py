"""What files of images are called."""

from __future__ import annotations

IMAGE_EXTENSIONS = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".avif",
        ".heic", ".heif", ".hif", ".jxl", ".bmp", ".dib", ".ico", ".icns", ".jp2", ".j2k", ".jpf",
        ".jpx", ".psd", ".psb", ".ppm", ".pgm", ".pbm", ".pnm", ".pcx", ".qoi", ".dds",
    }
)  # fmt: skip
"""What is taken of a folder. A file that is named itself is taken whatever it is called."""
