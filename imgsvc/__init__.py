"""imgsvc: submit ten thousand photos, watch them finish, download the results."""

__version__ = "0.1.0"
