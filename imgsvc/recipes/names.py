"""What variants and presets may be called."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from imgsvc.recipes.model import Name

NAMES_ARE = "1 to 40 of a-z, 0-9, _ and -, beginning with a letter or a digit"
"""The rule in words, for whoever has broken it."""

_NAME: TypeAdapter[str] = TypeAdapter(Name)


def is_name(text: str) -> bool:
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return False
    return True
