"""The metadata that libvips has of an image, by name.

Keywords of a PNG stand in these names as they are in the file, in Latin-1, and pyvips stumbles
over them. Here what is no UTF-8 is escaped.
"""

from __future__ import annotations

from typing import Any

import pyvips

_ESCAPED = "surrogateescape"


def list_fields(image: pyvips.Image) -> list[str]:
    names: list[str] = []
    found = pyvips.vips_lib.vips_image_get_fields(image.pointer)
    while (name := found[len(names)]) != pyvips.ffi.NULL:
        names.append(pyvips.ffi.string(name).decode(errors=_ESCAPED))
        pyvips.glib_lib.g_free(name)
    pyvips.glib_lib.g_free(found)
    return names


def get_field(image: pyvips.Image, name: str) -> Any:
    """The value of a field that is there."""
    value = pyvips.GValue()
    pyvips.vips_lib.vips_image_get(image.pointer, name.encode(errors=_ESCAPED), value.pointer)
    return value.get()


def remove_field(image: pyvips.Image, name: str) -> None:
    """Of a picture that nobody else holds."""
    pyvips.vips_lib.vips_image_remove(image.pointer, name.encode(errors=_ESCAPED))
